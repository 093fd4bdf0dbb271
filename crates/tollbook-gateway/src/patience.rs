//! How long something may stand still, and how long it may take in all.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// Tells when something has stood still, or has gone on, for too long. Its timer is made at the
/// first wait and set anew only when it goes off, so that nothing is paid for what moves.
#[derive(Debug)]
pub(crate) struct Patience {
    idle: Duration,
    end: Option<Instant>,
    /// The last move since the timer was made.
    moved: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// It may stand still for `idle`, and must be over at `end`.
    pub fn new(idle: Duration, end: Option<Instant>) -> Patience {
        Patience { idle, end, moved: Instant::now(), timer: None }
    }

    /// It moved.
    pub fn moved(&mut self) {
        if self.timer.is_some() {
            self.moved = Instant::now();
        }
    }

    /// Whether it has gone on for too long, as far as its last move tells.
    pub fn is_past_end(&self) -> bool {
        self.end.is_some_and(|end| self.moved >= end)
    }

    /// It waits; whether it has done so for too long.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> bool {
        if self.timer.is_none() {
            self.moved = Instant::now();
            self.timer = Some(Box::pin(tokio::time::sleep_until(self.limit())));
        }
        let limit = self.limit();
        let Some(timer) = &mut self.timer else { return false };
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= limit {
                return true;
            }
            timer.as_mut().reset(limit);
        }
        false
    }

    fn limit(&self) -> Instant {
        let idle = self.moved + self.idle;
        self.end.map_or(idle, |end| end.min(idle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Poll, Waker};

    #[test]
    fn it_ends_at_the_limit_after_the_last_move() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (idle, step) = (Duration::from_millis(60), Duration::from_millis(20));
            let mut patience = Patience::new(idle, None);
            let began = Instant::now();
            let mut moves = 0;
            assert!(!patience.poll_over(&mut Context::from_waker(Waker::noop())));
            while moves < 5 {
                tokio::time::sleep(step).await;
                moves += 1;
                patience.moved();
                assert!(!patience.poll_over(&mut Context::from_waker(Waker::noop())));
            }
            let last = Instant::now();
            std::future::poll_fn(|cx| if patience.poll_over(cx) { Poll::Ready(()) } else { Poll::Pending })
                .await;
            assert!(last.elapsed() >= Duration::from_millis(55), "{:?}", last.elapsed());
            assert!(began.elapsed() >= step * 5 + Duration::from_millis(55));

            let mut whole = Patience::new(idle, Some(Instant::now() + step));
            let began = Instant::now();
            std::future::poll_fn(|cx| if whole.poll_over(cx) { Poll::Ready(()) } else { Poll::Pending })
                .await;
            assert!(began.elapsed() < idle);
        });
    }
}
