//! A plugin that fails too often is left alone for a while: its `on_error` holds without the call.
//!
//! Faults of one client say that this client has found what it stumbles over, not that it is broken: were that enough, one client could
//! switch policy off for all. So they must come from several networks, or from where there is no client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Calls are looked at in windows of this length.
const WINDOW: Duration = Duration::from_secs(30);
/// Fewer calls say nothing.
const CALLS_MIN: u32 = 20;
/// One of so many may fail.
const FAULTS_SHARE: u32 = 5;
/// The faults must come from so many networks.
const NETWORKS_MIN: usize = 3;
/// How long it is left alone at first; twice as long each time that a probe fails.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_mins(5);

/// One version's, for one hook.
pub(crate) struct Breaker {
    /// Looked at by every call; the rest only when something failed or it is open.
    is_open: AtomicBool,
    state: Mutex<State>,
}

struct State {
    began: Instant,
    calls: u32,
    faults: u32,
    /// Where faults came from: some of them.
    networks: Vec<IpAddr>,
    /// Until then nobody asks.
    until: Option<Instant>,
    pause: Duration,
    is_probed: bool,
}

/// What the last call did to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    Same,
    /// It is left alone from now on, for so long.
    Opened(Duration),
    /// It is asked again.
    Closed,
}

impl Breaker {
    pub(crate) fn new(now: Instant) -> Self {
        let state = State {
            began: now,
            calls: 0,
            faults: 0,
            networks: Vec::new(),
            until: None,
            pause: PAUSE,
            is_probed: false,
        };
        Self { is_open: AtomicBool::new(false), state: Mutex::new(state) }
    }

    /// Whether it may be asked. While it is open, one call goes through when its pause is over.
    pub(crate) fn may_call(&self, now: Instant) -> bool {
        if !self.is_open.load(Ordering::Relaxed) {
            return true;
        }
        let mut state = self.lock();
        let is_over = state.until.is_none_or(|until| now >= until);
        if is_over && !state.is_probed {
            state.is_probed = true;
            return true;
        }
        false
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// What a call that went through came to; `client` is unspecified where there is none.
    pub(crate) fn note(&self, has_failed: bool, client: IpAddr, now: Instant) -> Turn {
        let mut state = self.lock();
        if let Some(until) = state.until {
            if !state.is_probed || now < until {
                // It began before.
                return Turn::Same;
            }
            state.is_probed = false;
            if has_failed {
                state.pause = (state.pause * 2).min(PAUSE_MAX);
                state.until = now.checked_add(state.pause);
                return Turn::Opened(state.pause);
            }
            *state = State {
                began: now,
                calls: 0,
                faults: 0,
                networks: Vec::new(),
                until: None,
                pause: PAUSE,
                is_probed: false,
            };
            self.is_open.store(false, Ordering::Relaxed);
            return Turn::Closed;
        }
        if now.saturating_duration_since(state.began) > WINDOW {
            (state.began, state.calls, state.faults) = (now, 0, 0);
            state.networks.clear();
        }
        state.calls = state.calls.saturating_add(1);
        state.faults = state.faults.saturating_add(u32::from(has_failed));
        if has_failed && !state.networks.contains(&network(client)) && state.networks.len() < NETWORKS_MIN {
            state.networks.push(network(client));
        }
        let is_of_one = state.networks.len() < NETWORKS_MIN && !client.is_unspecified();
        if has_failed
            && !is_of_one
            && state.calls >= CALLS_MIN
            && state.faults.saturating_mul(FAULTS_SHARE) > state.calls
        {
            state.until = now.checked_add(state.pause);
            self.is_open.store(true, Ordering::Relaxed);
            return Turn::Opened(state.pause);
        }
        Turn::Same
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One customer has a /64 or a /24.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is none.
    const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    #[test]
    fn one_fault_in_five_is_borne_and_one_more_is_not() {
        let now = Instant::now();
        let breaker = Breaker::new(now);
        for number in 0..1_000 {
            assert!(breaker.may_call(now));
            assert_eq!(breaker.note(number % 5 == 4, NOBODY, now), Turn::Same, "{number}");
        }
        let opened = (0..1_000).map(|_| breaker.note(true, NOBODY, now)).find(|turn| *turn != Turn::Same);
        assert_eq!(opened, Some(Turn::Opened(PAUSE)));
        assert!(!breaker.may_call(now) && breaker.is_open());
    }

    #[test]
    fn a_few_calls_say_nothing_and_an_old_window_is_forgotten() {
        let now = Instant::now();
        let breaker = Breaker::new(now);
        for _ in 0..CALLS_MIN - 1 {
            assert_eq!(breaker.note(true, NOBODY, now), Turn::Same);
        }
        let later = now + WINDOW + Duration::from_secs(1);
        assert_eq!(breaker.note(true, NOBODY, later), Turn::Same);
    }

    #[test]
    fn one_probe_at_a_time_closes_it_or_doubles_its_pause() {
        let now = Instant::now();
        let breaker = Breaker::new(now);
        for _ in 0..CALLS_MIN {
            breaker.note(true, NOBODY, now);
        }
        let after = now + PAUSE;
        assert!(!breaker.may_call(now) && breaker.may_call(after) && !breaker.may_call(after));
        assert_eq!(breaker.note(true, NOBODY, after), Turn::Opened(PAUSE * 2));
        assert!(!breaker.may_call(after + PAUSE));
        let again = after + PAUSE * 2;
        assert!(breaker.may_call(again));
        assert_eq!(breaker.note(false, NOBODY, again), Turn::Closed);
        assert!(breaker.may_call(again) && breaker.may_call(again) && !breaker.is_open());
    }

    #[test]
    fn one_client_cannot_switch_it_off_for_all() {
        let now = Instant::now();
        let breaker = Breaker::new(now);
        let of = |network: u8, host: u8| IpAddr::from([192, 0, network, host]);
        for host in 0..200 {
            assert_eq!(breaker.note(true, of(2, host), now), Turn::Same);
            assert_eq!(breaker.note(true, of(3, host), now), Turn::Same);
        }
        assert_eq!(breaker.note(true, of(4, 1), now), Turn::Opened(PAUSE));
    }
}
