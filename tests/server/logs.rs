//! Long logs: read in parts, followed from where one was left, kept whole when they are replaced.

use std::time::Duration;

use jobrunner::run::RunId;
use jobrunner::server::domain::life::{Actor, Patch};
use jobrunner::server::store::{Appended, LogChange};
use jobrunner::wire::operator::{FollowLine, LogLines, LogRows, LogSize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;

use crate::http::{Answer, ask};
use crate::stage::{Stage, made, returned};

/// Nothing in these tests takes this long.
const PATIENCE: Duration = Duration::from_secs(30);
const MOST: u64 = 1 << 30;

/// A run that a worker has begun.
pub async fn begun(stage: &Stage) -> RunId {
    let job = stage.job(|_| {}).await;
    let run = stage.due(&job).await.id;
    made(stage.claim(0, run).await);
    stage.begin(0, run).await;
    run
}

pub async fn append(stage: &Stage, run: RunId, from: usize, text: &str) {
    let who = Actor::Worker(stage.worker(0), None);
    let kept = stage.store().append_log(run, from as u64, text, who, MOST).await.expect("an answer");
    assert!(matches!(kept, Appended::Kept(_)), "{kept:?}");
}

async fn put(stage: &Stage, run: RunId, text: &str) {
    let who = Actor::Worker(stage.worker(0), None);
    let kept = stage.store().put_log(run, Some(text), who).await.expect("an answer");
    assert!(matches!(kept, LogChange::Kept(_)), "{kept:?}");
}

async fn get(stage: &Stage, path: &str, range: Option<&str>) -> Answer {
    let bearer = stage.fixture.bearer();
    let (name, value) = bearer.split_once(": ").expect("a header");
    let mut headers = vec![(name.to_owned(), value.to_owned())];
    headers.extend(range.map(|range| ("Range".to_owned(), range.to_owned())));
    ask(stage.fixture.http(), "GET", &format!("/operator/v1{path}"), &headers, None).await
}

/// Lines of output that are as long as they like, some with more bytes than characters.
fn output(lines: usize) -> String {
    (0..lines).map(|line| format!("{line} {}\n", "h\u{e4}llo \u{1f600}".repeat(line % 97))).collect()
}

#[tokio::test]
async fn any_range_of_a_long_log_can_be_read() {
    let stage = Stage::start(1).await;
    let run = begun(&stage).await;
    let text = output(8000);
    let mut from = 0;
    // As live output comes: now a few bytes, now many.
    for size in [5, 900, 70_000, 3, 200_000].into_iter().cycle() {
        let to = text.ceil_char_boundary(from + size);
        append(&stage, run, from, &text[from..to]).await;
        from = to;
        if from == text.len() {
            break;
        }
    }
    let whole = get(&stage, &format!("/runs/{run}/log"), None).await;
    assert_eq!((whole.status, whole.headers["content-length"].as_str()), (200, text.len().to_string().as_str()));
    assert!(whole.body == text.as_bytes() && whole.headers["accept-ranges"] == "bytes");
    let (from, to) = (text.len() / 3, text.len() / 3 + 300_000);
    let part = get(&stage, &format!("/runs/{run}/log"), Some(&format!("bytes={from}-{}", to - 1))).await;
    assert!(part.status == 206 && part.body == text.as_bytes()[from..to]);
    assert_eq!(part.headers["content-range"], format!("bytes {from}-{}/{}", to - 1, text.len()));
    let beyond = get(&stage, &format!("/runs/{run}/log"), Some(&format!("bytes={}-", text.len()))).await;
    assert_eq!((beyond.status, beyond.headers["content-range"].as_str()), (416, &*format!("bytes */{}", text.len())));
    let file = get(&stage, &format!("/runs/{run}/log?download=true"), None).await;
    assert_eq!(file.headers["content-disposition"], format!("attachment; filename=\"run-{run}.log\""));

    let all: Vec<_> = text.split_inclusive('\n').collect();
    for (first, count) in [(0, 3), (1, 1), (4321, 200), (7990, 50), (8000, 5), (1_000_000, 5), (77, 0)] {
        let answer = get(&stage, &format!("/runs/{run}/log/lines?from={first}&limit={count}"), None).await;
        let lines: LogLines = serde_json::from_slice(&answer.body).expect("lines");
        let expected = all.iter().skip(first).take(count).copied().collect::<String>();
        let begin: usize = all.iter().take(first).map(|line| line.len()).sum();
        assert_eq!((lines.bytes, lines.lines, lines.first), (text.len() as u64, 8000, first.min(8000) as u64));
        assert_eq!((lines.from, lines.to), (begin as u64, (begin + expected.len()) as u64), "{first}");
        assert!(lines.text == expected, "{first}");
        let answer = get(&stage, &format!("/runs/{run}/log/rows?from={first}&limit={count}"), None).await;
        let rows: LogRows = serde_json::from_slice(&answer.body).expect("rows");
        assert_eq!((rows.bytes, rows.lines, rows.first), (text.len() as u64, 8000, first.min(8000) as u64));
        let shown: String = rows.rows.iter().flat_map(|row| row.spans.iter()).map(|span| span.text.as_str()).collect();
        assert_eq!(shown, expected.replace('\n', ""), "{first}");
        assert_eq!(rows.rows.len(), expected.matches('\n').count(), "{first}");
    }
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_line_that_never_ends_is_shown_in_part() {
    let stage = Stage::start(1).await;
    let run = begun(&stage).await;
    put(&stage, run, &format!("first\n{}\nlast", "\u{20ac}".repeat(500_000))).await;
    let answer = get(&stage, &format!("/runs/{run}/log/lines?from=1"), None).await;
    let lines: LogLines = serde_json::from_slice(&answer.body).expect("lines");
    assert_eq!((lines.lines, lines.from), (3, 6));
    assert_eq!(lines.to, 6 + lines.text.len() as u64);
    assert!(lines.text.len() > 1_048_570 && lines.text.chars().all(|c| c == '\u{20ac}'), "no character is cut");
    let answer = get(&stage, &format!("/runs/{run}/log/rows?from=1"), None).await;
    let rows: LogRows = serde_json::from_slice(&answer.body).expect("rows");
    assert_eq!(rows.rows.iter().map(|row| (row.spans.len(), row.cut)).collect::<Vec<_>>(), [(1, 490_000), (1, 0)]);
    assert_eq!((rows.rows[0].spans[0].text.chars().count(), rows.rows[1].spans[0].text.as_str()), (10_000, "last"));
    assert_eq!(get(&stage, "/runs/999/log/rows", None).await.status, 404);
    assert_eq!(get(&stage, "/runs/999/log/lines", None).await.status, 404);
    assert_eq!(get(&stage, &format!("/runs/{run}/log/lines?from=x"), None).await.status, 400);
    stage.fixture.stop().await;
}

/// Somebody who follows.
pub struct Follower(Lines<BufReader<TcpStream>>);

impl Follower {
    pub async fn of(stage: &Stage, run: RunId, query: &str) -> Self {
        let mut stream = TcpStream::connect(stage.fixture.http()).await.expect("a connection");
        let bearer = stage.fixture.bearer();
        let head = format!("GET /operator/v1/runs/{run}/follow{query} HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("a server that reads");
        Self(BufReader::new(stream).lines())
    }

    /// The next line; the chunks of HTTP are passed over.
    async fn next(&mut self) -> FollowLine {
        let next = async {
            loop {
                let line = self.0.next_line().await.expect("a connection").expect("more");
                if let Ok(line) = serde_json::from_str(&line) {
                    return line;
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("it is told")
    }

    /// What is told of the log until that text was told, in one piece or in many.
    pub async fn hear(&mut self, expected: &str) {
        let mut heard = String::new();
        while heard.len() < expected.len() {
            match self.next().await {
                FollowLine::Log(text) => heard.push_str(&text),
                FollowLine::Run(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(heard == expected, "{heard:?}");
    }
}

#[tokio::test]
async fn a_follower_gets_new_output_from_its_position_on() {
    let stage = Stage::start(1).await;
    let run = begun(&stage).await;
    let text = output(3000);
    append(&stage, run, 0, &text).await;
    let from = text.find("\n2990 ").expect("that line") + 1;
    let mut follower = Follower::of(&stage, run, &format!("?from={from}&revision=0")).await;
    let mut all = Follower::of(&stage, run, "").await;
    follower.hear(&text[from..]).await;
    all.hear(&text).await;
    append(&stage, run, text.len(), "more\n").await;
    follower.hear("more\n").await;
    all.hear("more\n").await;
    // A note at the end is nothing but more.
    put(&stage, run, &format!("{text}more\nnote\n")).await;
    follower.hear("note\n").await;
    all.hear("note\n").await;
    // It loses its middle, as one that is too long: who knows places in it is told that they are others now.
    let short = format!("0 \n\n\n[truncated]\n\n{}more\nnote\nand more\n", &text[from - 2000..]);
    put(&stage, run, &short).await;
    let size = LogSize { bytes: short.len() as u64, lines: short.lines().count() as u64, revision: 1 };
    assert_eq!(follower.next().await, FollowLine::Replaced(size.clone()));
    all.hear("and more\n").await;
    let mut late = Follower::of(&stage, run, "?from=7&revision=0").await;
    assert!(matches!(late.next().await, FollowLine::Run(_)));
    assert_eq!(late.next().await, FollowLine::Replaced(size));
    // What is another altogether is told as one from which something is missing.
    put(&stage, run, "0 \nanother\n").await;
    assert_eq!(all.next().await, FollowLine::Gap);
    all.hear("another\n").await;
    made(stage.change(0, run, returned(true)).await);
    let over = |line: &FollowLine| matches!(line, FollowLine::Run(run) if run.state.is_over());
    assert!(over(&all.next().await));
    assert!(matches!(follower.next().await, FollowLine::Replaced(LogSize { bytes: 11, lines: 2, revision: 2 })));
    assert!(over(&follower.next().await));
    stage.fixture.stop().await;
}

#[tokio::test]
async fn a_follower_gets_the_log_of_each_attempt_from_its_beginning() {
    let stage = Stage::start(1).await;
    let run = begun(&stage).await;
    put(&stage, run, "begins\nfirst\n").await;
    let mut all = Follower::of(&stage, run, "").await;
    all.hear("begins\nfirst\n").await;
    let given_back = Patch { enqueue_dts: Some(None), start_dts: Some(None), ..Patch::default() };
    made(stage.change(0, run, given_back).await);
    made(stage.claim(0, run).await);
    stage.begin(0, run).await;
    // It begins as the log of the first attempt did.
    put(&stage, run, "begins\n").await;
    loop {
        match all.next().await {
            FollowLine::Run(_) => {}
            line => break assert_eq!(line, FollowLine::Gap),
        }
    }
    all.hear("begins\n").await;
    put(&stage, run, "begins\nsecond\n").await;
    all.hear("second\n").await;
    stage.fixture.stop().await;
}
