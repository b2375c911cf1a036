//! Tests of the broadcast source: two connections at once while the source changes over.

use super::*;
use crate::intake::OrderReceipt;
use crate::run::{Order, RunId};

/// Starts a broadcaster on a free port, and returns it with the settings that lead to it.
fn broadcaster(context: &zmq::Context) -> (zmq::Socket, Settings) {
    let socket = context.socket(zmq::XPUB).unwrap();
    socket.bind("tcp://127.0.0.1:*").unwrap();
    let place = socket.get_last_endpoint().unwrap().unwrap();
    let settings = Settings {
        broadcaster_server_hostname: "127.0.0.1".to_owned(),
        broadcaster_server_port: place.rsplit(':').next().unwrap().parse().unwrap(),
        reconnect_after_inactivity: Duration::from_secs(600),
        ws_url: None,
    };
    (socket, settings)
}

fn announce(broadcaster: &zmq::Socket, topic: &str, run: i64) {
    let content = format!(r#"{{"action": "enqueue", "run_id": {run}}}"#);
    broadcaster.send_multipart([topic.as_bytes(), content.as_bytes()], 0).unwrap();
}

#[test]
fn what_waits_on_the_old_connection_is_heard_before_it_is_closed() {
    let context = zmq::Context::new();
    let (old, old_settings) = broadcaster(&context);
    let (new, new_settings) = broadcaster(&context);
    let topic = "master.broadcast.key".to_owned();
    let connected = |settings: &Settings, number| {
        let subscription = Subscription::new(&context, &topic, number).unwrap();
        subscription.connect(settings).unwrap();
        subscription
    };
    let (previous, current) = (connected(&old_settings, 1), connected(&new_settings, 2));
    for broadcaster in [&old, &new] {
        broadcaster.set_rcvtimeo(10_000).unwrap();
        broadcaster.recv_bytes(0).expect("a subscription");
    }
    announce(&old, &topic, 1);
    announce(&new, &topic, 2);
    for subscription in [&previous, &current] {
        let readable = zmq::poll(&mut [subscription.socket.as_poll_item(zmq::POLLIN)], 10_000);
        assert_eq!(readable, Ok(1));
    }
    let (heard, orders) = sync_channel(4);
    let (_keep, fresh_settings) = sync_channel(1);
    let tell = context.socket(zmq::PAIR).unwrap();
    tell.bind("inproc://tell").unwrap();
    let told = context.socket(zmq::PAIR).unwrap();
    told.connect("inproc://tell").unwrap();
    let mut listener = Listener {
        context: context.clone(),
        settings: new_settings,
        fresh_settings,
        topic,
        current,
        previous: Some(previous),
        lost: HashMap::new(),
        made: 2,
        receiver: OrderReceiver::to(move |order| {
            heard.try_send(order).map_or(OrderReceipt::Full, |()| OrderReceipt::Taken)
        }),
        heard: Instant::now(),
    };
    let listening = std::thread::spawn(move || listener.listen(&told));
    let both: Vec<Order> = (0..2).map(|_| orders.recv_timeout(Duration::from_secs(10)).expect("an order")).collect();
    assert_eq!(both, [1, 2].map(|run| Order::Enqueue(RunId::new(run).unwrap())));
    tell.send(STOP, 0).unwrap();
    listening.join().unwrap().unwrap();
}
