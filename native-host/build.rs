//! Makes the folder of the companion page exist, so that the program compiles before the page was built.
//! Never builds the page: that is `cargo xtask build`'s work.

fn main() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist/page");
    if let Err(error) = std::fs::create_dir_all(&page) {
        println!("cargo::error=cannot make {}: {error}", page.display());
    }
    println!("cargo::rerun-if-changed={}", page.display());
}
