use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use url::Url;

use super::{connect, connect_to_one};

/// Time for all addresses together. A share of it is waited for each that is silent.
const LIMIT: Duration = Duration::from_secs(2);

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// An address that takes no more connections, and refuses none, as that of a machine that is gone.
async fn silent() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(loopback()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(stream);
    }
    (address, listener, waiting)
}

#[tokio::test]
async fn a_server_is_found_behind_addresses_that_refuse_or_are_silent() {
    let (silent, _listener, _waiting) = silent().await;
    let refusing = TcpListener::bind(loopback()).await.unwrap().local_addr().unwrap();
    let server = TcpListener::bind(loopback()).await.unwrap();
    let address = server.local_addr().unwrap();
    let stream = connect_to_one(&[refusing, silent, address], LIMIT).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), address);
    let failed = connect_to_one(&[refusing, silent], LIMIT).await.unwrap_err();
    assert!(failed.to_string().contains("does not answer"), "{failed}");
    assert!(connect_to_one(&[], LIMIT).await.unwrap_err().to_string().contains("has no address"));
}

#[tokio::test]
async fn the_host_of_a_url_is_a_name_or_an_address() {
    let server = TcpListener::bind(loopback()).await.unwrap();
    let address = server.local_addr().unwrap();
    for host in ["localhost", "127.0.0.1"] {
        for tries in 0..3 {
            let url = Url::parse(&format!("ws://{host}:{}/worker", address.port())).unwrap();
            assert_eq!(connect(&url, tries).await.unwrap().peer_addr().unwrap(), address, "{url}");
        }
    }
}
