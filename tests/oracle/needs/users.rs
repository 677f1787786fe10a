//! Users, groups, hosts and services.

use super::case::{Case, program};
use super::workshop::Workshop;

const USER_BY_NUMBER: &str = r#"
#include <pwd.h>
#include <stdio.h>
int main(void) { struct passwd *user = getpwuid(0); return puts(user ? user->pw_name : "unknown") < 0; }
"#;

const USER_BY_NAME: &str = r#"
#include <pwd.h>
#include <stdio.h>
int main(void) { struct passwd *user = getpwnam("root"); return printf("%d\n", user ? (int)user->pw_uid : -1) < 0; }
"#;

const GROUP_BY_NUMBER: &str = r#"
#include <grp.h>
#include <stdio.h>
int main(void) { struct group *group = getgrgid(0); return puts(group ? group->gr_name : "unknown") < 0; }
"#;

const ADDRESS: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
int main(void) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    int error = getaddrinfo("localhost", SERVICE, &hints, &found);
    if (error) return puts(gai_strerror(error)) < 0;
    struct sockaddr_in *address = (struct sockaddr_in *)found->ai_addr;
    return printf("%s %d\n", inet_ntoa(address->sin_addr), ntohs(address->sin_port)) < 0;
}
"#;

const SERVICE: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
int main(void) {
    struct servent *service = getservbyname("https", "tcp");
    return printf("%d\n", service ? ntohs(service->s_port) : -1) < 0;
}
"#;

const PROTOCOL: &str = r#"
#include <netdb.h>
#include <stdio.h>
int main(void) {
    struct protoent *protocol = getprotobyname("tcp");
    return printf("%d\n", protocol ? protocol->p_proto : -1) < 0;
}
"#;

const MYSELF: &str = r#"
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
    struct passwd *user = getpwuid(getuid());
    struct group *group = getgrgid(getgid());
    return printf("%s %s\n", user ? user->pw_name : "unknown", group ? group->gr_name : "unknown") < 0;
}
"#;

const USER: u32 = 65532;

#[test]
fn a_user_is_known_by_number() {
    let case = program("by-number", USER_BY_NUMBER, "root\n");
    case.notes("users", "getpwuid").otherwise("unknown\n").with(&["users"]).holds();
}

#[test]
fn a_user_is_known_by_name() {
    let case = program("by-name", USER_BY_NAME, "0\n");
    case.notes("users", "getpwnam").otherwise("-1\n").with(&["users"]).holds();
}

#[test]
fn a_group_is_known_by_number() {
    let case = program("group", GROUP_BY_NUMBER, "root\n");
    case.notes("users", "getgrgid").otherwise("unknown\n").with(&["users"]).holds();
}

#[test]
fn the_user_of_the_image_has_a_name() {
    let Some(workshop) = Workshop::open(&["cc"]) else { return };
    workshop.compile("cc", "myself", MYSELF, &[]);
    let container = workshop.pack("myself", &["--user", "65532:65532", "--with", "users"]).by_user(USER);
    let said = container.run("/myself", &[]);
    assert!(!said.contains("unknown"), "{said}");
    let passwd = container.read("/etc/passwd");
    let numbers: Vec<&str> = passwd.lines().map(|line| line.split(':').nth(2).unwrap()).collect();
    assert_eq!(numbers, ["0", "65534", "65532"], "{passwd}");
}

#[test]
fn a_file_of_the_caller_stands_before_one_that_is_generated() {
    let Some(workshop) = Workshop::open(&["cc"]) else { return };
    workshop.compile("cc", "by-number", USER_BY_NUMBER, &[]);
    workshop.write("passwd", "captain:x:0:0::/:\n");
    let container = workshop.pack("by-number", &["--with", "users", "--file", "@/passwd:/etc/passwd"]);
    container.says("/by-number", "captain\n");
}

/// A container's own hosts file is the runtime's to write; here nobody does.
fn address(service: &str, words: &'static str) -> Case {
    let source = ADDRESS.replace("SERVICE", service);
    program("address", source, words).option("--file", "@/hosts:/etc/hosts")
}

fn shows_address(case: &Case) {
    if let Some(workshop) = case.workshop() {
        workshop.write("hosts", "127.0.0.1 localhost\n");
        case.holds_in(&workshop);
    }
}

#[test]
fn a_host_is_resolved_by_the_hosts_file() {
    shows_address(&address("\"80\"", "127.0.0.1 80\n"));
}

#[test]
fn a_service_of_an_address_is_known() {
    let case = address("\"http\"", "127.0.0.1 80\n").otherwise("Servname not supported for ai_socktype\n");
    shows_address(&case.notes("services", "getaddrinfo").with(&["services"]));
}

#[test]
fn a_service_is_known() {
    let case = program("service", SERVICE, "443\n");
    case.notes("services", "getservbyname").otherwise("-1\n").with(&["services"]).holds();
}

#[test]
fn a_protocol_is_known() {
    let case = program("protocol", PROTOCOL, "6\n");
    case.notes("services", "getprotobyname").otherwise("-1\n").with(&["services"]).holds();
}
