//! The program that is packed.

fn main() {
    println!("Hello from scratch!");
}
