use super::{Orders, ROOM_OF_ONE};
use crate::run::{ApiKey, Order, RunId};

fn key(text: &str) -> ApiKey {
    ApiKey::parse(text).expect("a key")
}

#[tokio::test]
async fn who_carries_for_one_worker_is_told_of_its_orders_only_and_one_that_is_slow_holds_up_nobody() {
    let orders = Orders::default();
    let (mut one, mut again) = (orders.carry_to(key("one")), orders.carry_to(key("one")));
    let mut other = orders.carry_to(key("other"));
    let mut everybody = orders.carry();
    orders.send(key("one"), Order::Ping);
    let run = Order::Enqueue(RunId::new(7).expect("an id"));
    orders.send(key("other"), run);
    assert_eq!((one.next().await, again.next().await), (Some(Order::Ping), Some(Order::Ping)));
    assert_eq!(other.next().await, Some(run));
    assert_eq!(everybody.recv().await.expect("an order").order, Order::Ping);
    assert_eq!(everybody.recv().await.expect("an order").to, key("other"));
    for _ in 0..2 * ROOM_OF_ONE {
        orders.send(key("one"), Order::Ping);
        assert_eq!(again.next().await, Some(Order::Ping));
    }
    drop((one, again));
    assert!(!orders.carriers().contains_key(&key("one")), "who is gone is forgotten");
}
