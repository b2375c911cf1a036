//! Tests of instance ids: their form, and texts that are none.

use super::Instance;

#[test]
fn an_instance_is_read_as_it_is_shown_and_nothing_else_is_one() {
    for number in [0, 7, u128::MAX] {
        let instance = Instance::of_number(number);
        assert_eq!(Instance::parse(instance.as_str()), Some(instance));
    }
    let wrong = ["", "0", "0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0"];
    for text in wrong.into_iter().chain(["0123456789ABCDEF0123456789abcdef", "0123456789abcdef0123456789abcde\n"]) {
        assert_eq!(Instance::parse(text), None, "{text:?}");
    }
}
