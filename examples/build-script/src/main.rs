//! Says where the image is that the build script packed.

fn main() {
    println!("{}", concat!(env!("OUT_DIR"), "/hello.tar"));
}
