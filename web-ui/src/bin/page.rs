//! Start of the companion page in the browser.

fn main() {
    weir_web::page::start();
}
