//! Accept loop: accepts connections and drives each until it ends, exceeds its time, or has to leave.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::HttpBody;
use axum::http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::{AnswerBody, PacedBody};
use super::metered::MeteredStream;
use super::peer::{Connections, HttpPeer};
use crate::run::chain_of;

/// The longest head of a request, and how much of a body is read ahead, in bytes. A path with its query may have 64 kB.
const MAX_HEAD: usize = 100 * 1024;
/// Pause of the accept loop after the system had no descriptor or no memory for a connection.
const PAUSE: Duration = Duration::from_millis(50);
/// Shortest time between two log lines about such a shortage.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// TCP keep-alive: the first probe after a minute of silence, then one every 20 seconds; after three without an answer
/// the connection is closed. The connection of a machine that lost power thus ends after two minutes.
const KEEPALIVE_SECONDS: u32 = 60;
const KEEPALIVE_EVERY_SECONDS: u32 = 20;
const KEEPALIVE_TIMES: u32 = 3;

/// Serves until `stop` is cancelled; then finishes the requests that have arrived, for at most `grace`, and drops the
/// rest.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    connections: Connections,
    stop: CancellationToken,
    grace: Duration,
) {
    let (tasks, over) = (TaskTracker::new(), CancellationToken::new());
    let mut said: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                // The table has no place: dropping the stream closes the connection.
                let Some(peer) = connections.arrive(from.ip()) else { continue };
                keep_alive(&stream);
                let driven = drive(stream, peer, routes.clone(), connections.limits().request_timeout, stop.clone());
                // Cancelling drops the connection, whatever it is at.
                tasks.spawn(over.clone().run_until_cancelled_owned(driven));
            }
            Err(e) if is_shortage(&e) => {
                if said.is_none_or(|said| said.elapsed() > LOG_INTERVAL) {
                    said = Some(Instant::now());
                    tracing::error!(
                        target: "job_runner.http",
                        error = %chain_of(&e),
                        "connections cannot be accepted; idle ones are closed"
                    );
                }
                // The connection is still in the listener's queue, so the loop would spin without a pause. Closing one that
                // can be spared frees the descriptor that the next attempt needs.
                connections.spare_one();
                tokio::time::sleep(PAUSE).await;
            }
            // Other errors concern one connection that was closed before it was accepted.
            Err(_) => {}
        }
    }
    // New connections are refused from here on; those of before have their grace.
    drop(listener);
    end_within(&tasks, grace).await;
    over.cancel();
    tasks.wait().await;
}

/// Waits for all tasks to end, for at most `grace`. Returns whether all of them have.
pub async fn end_within(tasks: &TaskTracker, grace: Duration) -> bool {
    tasks.close();
    tokio::time::timeout(grace, tasks.wait()).await.is_ok()
}

/// Whether an error of `accept` says that the system has no room for one more connection.
fn is_shortage(error: &io::Error) -> bool {
    let shortages = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM];
    error.raw_os_error().is_some_and(|errno| shortages.contains(&Errno::from_raw(errno)))
}

fn keep_alive(stream: &TcpStream) {
    // Without Nagle's algorithm, small messages go out at once. None of these options is essential, so a refusal of the
    // system is ignored.
    let _ = stream.set_nodelay(true);
    let _ = setsockopt(stream, sockopt::KeepAlive, &true);
    let _ = setsockopt(stream, sockopt::TcpKeepIdle, &KEEPALIVE_SECONDS);
    let _ = setsockopt(stream, sockopt::TcpKeepInterval, &KEEPALIVE_EVERY_SECONDS);
    let _ = setsockopt(stream, sockopt::TcpKeepCount, &KEEPALIVE_TIMES);
}

async fn drive(stream: TcpStream, peer: HttpPeer, routes: Router, patience: Duration, stop: CancellationToken) {
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(|request| answer(&routes, request, &peer, patience));
    let io = TokioIo::new(MeteredStream::new(stream, peer.clone()));
    let mut builder = http1::Builder::new();
    // Deadlines come from the table: hyper's only time-out would treat idle connections and slow heads alike.
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(MAX_HEAD);
    // After an upgrade this future ends; the WebSocket lives on in the task that holds its own handle of the peer.
    let mut connection = pin!(builder.serve_connection(io, service).with_upgrades());
    let mut alarm = pin!(tokio::time::sleep(patience));
    let (mut leave, mut stopped) = (pin!(peer.leave().cancelled()), pin!(stop.cancelled()));
    let mut stops = false;
    std::future::poll_fn(|cx| {
        // One future polls all: dismissal first, so that a peer that has to leave is not served any further. The
        // connection comes before its deadline, because polling it may change the phase that the deadline depends on.
        if leave.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if !stops && stopped.as_mut().poll(cx).is_ready() {
            // A head that has not arrived completely is no request, and nothing is lost with it.
            if peer.is_quiet() {
                return Poll::Ready(());
            }
            stops = true;
            connection.as_mut().graceful_shutdown();
        }
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        // Only this task changes the phase of its connection, so no later change can make this deadline obsolete
        // unnoticed.
        let Some(deadline) = peer.deadline() else { return Poll::Pending };
        let deadline = tokio::time::Instant::from_std(deadline);
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(cx)
    })
    .await;
}

fn answer(
    routes: &TowerToHyperService<Router>,
    request: Request<Incoming>,
    peer: &HttpPeer,
    patience: Duration,
) -> impl Future<Output = Result<Response<AnswerBody>, Infallible>> + use<> {
    peer.begin_request(!request.body().is_end_stream());
    let mut request = request.map(|body| PacedBody::new(body, peer.clone(), patience));
    // Guards mark the peer as known, and WebSockets watch for their dismissal, through this extension.
    request.extensions_mut().insert(peer.clone());
    let (answer, peer) = (routes.call(request), peer.clone());
    async move {
        let response = answer.await?;
        // No further request comes on this connection, so it must not be taken for one that is still being answered.
        let upgrades = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if upgrades {
            peer.upgrade();
        }
        Ok(response.map(|body| AnswerBody::new(body, &peer, upgrades)))
    }
}
