//! Callers that stay: streams that are read slowly, and callers that mean no good.

use super::load::{Caller, connect, request};
use super::mock::{Kind, on_runtime};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// What a caller does.
#[derive(Clone, Copy, Debug)]
pub enum Manner {
    /// Reads a stream that hardly moves.
    Reads,
    /// Begins a head and adds a byte now and then.
    Drips,
    /// Asks for much and reads nothing.
    ReadsNothing,
}

/// Callers on a thread of their own, until this value goes.
pub struct Held {
    ending: Arc<AtomicBool>,
    ready: Arc<AtomicU32>,
    thread: Option<JoinHandle<()>>,
}

impl Held {
    /// Starts so many and waits until each has come as far as it gets.
    pub fn start(caller: &Caller, manner: Manner, count: u32) -> Result<Held, String> {
        let (ending, ready) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (told, tell, caller) = (Arc::clone(&ending), Arc::clone(&ready), caller.clone());
        let thread = std::thread::Builder::new().name("held".to_owned()).spawn(move || {
            let _ = on_runtime(async move {
                let tasks: Vec<_> = (0..count)
                    .map(|_| tokio::spawn(hold(caller.clone(), manner, Arc::clone(&tell))))
                    .collect();
                while !told.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                tasks.iter().for_each(tokio::task::JoinHandle::abort);
            });
        });
        let held = Held { ending, ready, thread: Some(thread.map_err(|error| error.to_string())?) };
        let since = Instant::now();
        while held.ready.load(Ordering::Relaxed) < count {
            if since.elapsed() > Duration::from_secs(30) {
                let ready = held.ready.load(Ordering::Relaxed);
                return Err(format!("{ready} of {count} callers came through: {manner:?}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn hold(caller: Caller, manner: Manner, ready: Arc<AtomicU32>) -> io::Result<()> {
    match manner {
        Manner::Reads => {
            let mut stream = connect(caller.address).await?;
            stream.write_all(&request(&caller, Kind::Slow)).await?;
            let mut buffer = [0; 2048];
            let mut told = false;
            while stream.read(&mut buffer).await? > 0 {
                if !std::mem::replace(&mut told, true) {
                    ready.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        Manner::Drips => {
            let mut stream = connect(caller.address).await?;
            stream.write_all(b"POST /openai/v1/chat/completions HTTP/1.1\r\nhost: here\r\nx-slow: ").await?;
            ready.fetch_add(1, Ordering::Relaxed);
            while stream.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        Manner::ReadsNothing => {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(4096)?;
            let mut stream: TcpStream = socket.connect(caller.address).await?;
            stream.write_all(&request(&caller, Kind::Large)).await?;
            ready.fetch_add(1, Ordering::Relaxed);
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}
