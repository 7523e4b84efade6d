//! Start of the popup in the browser.

fn main() {
    weir_extension::popup::start();
}
