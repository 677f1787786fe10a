#include <stdio.h>

void greet(void) {
    puts("Hello from a container");
}
