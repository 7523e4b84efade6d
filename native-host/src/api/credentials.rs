//! What opens the door: the token, tickets and sessions.
//!
//! Never reads a request (that is [`super::guard`]'s). Invariants: comparisons take constant time; a ticket opens one
//! session; a session is signed with the token, so it survives a restart of the daemon and ends when the token is replaced.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use subtle::ConstantTimeEq as _;

use crate::endpoint::{Token, random_text};

/// A ticket lives this long.
pub(super) const TICKET_LIFE: Duration = Duration::from_secs(30);

/// Tickets waiting at once; more are a client gone wild.
const MAX_TICKETS: usize = 64;

/// A session lives this long at most; the cookie itself ends with the browser.
const SESSION_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Wrong tokens allowed within [`WINDOW`] before they are answered by 429.
const MAX_WRONG: u32 = 100;
const WINDOW: Duration = Duration::from_secs(60);

pub(super) struct Credentials {
    token: Token,
    port: u16,
    tickets: Mutex<HashMap<String, Instant>>,
    wrong: Mutex<(Instant, u32)>,
}

impl Credentials {
    pub(super) fn new(token: Token, port: u16) -> Self {
        Self { token, port, tickets: Mutex::default(), wrong: Mutex::new((Instant::now(), 0)) }
    }

    pub(super) fn proof(&self, challenge: &str) -> String {
        self.token.proof(self.port, challenge)
    }

    pub(super) fn is_token(&self, candidate: &str) -> bool {
        self.token.matches(candidate)
    }

    /// Notes a wrong token. True when there have been too many; the right one still gets in.
    pub(super) fn count_wrong(&self) -> bool {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.0.elapsed() > WINDOW {
            *wrong = (Instant::now(), 0);
        }
        wrong.1 = wrong.1.saturating_add(1);
        wrong.1 > MAX_WRONG
    }

    /// A ticket that opens one session within [`TICKET_LIFE`].
    pub(super) fn issue_ticket(&self) -> anyhow::Result<String> {
        let ticket = random_text()?;
        let mut tickets = self.tickets.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.retain(|_, issued| issued.elapsed() < TICKET_LIFE);
        if tickets.len() >= MAX_TICKETS
            && let Some(oldest) =
                tickets.iter().min_by_key(|(_, issued)| **issued).map(|(ticket, _)| ticket.clone())
        {
            tickets.remove(&oldest);
        }
        tickets.insert(ticket.clone(), Instant::now());
        Ok(ticket)
    }

    /// True once for each ticket.
    pub(super) fn redeem_ticket(&self, ticket: &str) -> bool {
        // 256 random bits: a lookup by hash tells an attacker nothing he could build on.
        let issued = self.tickets.lock().unwrap_or_else(PoisonError::into_inner).remove(ticket);
        issued.is_some_and(|issued| issued.elapsed() < TICKET_LIFE)
    }

    pub(super) fn cookie_name(&self) -> String {
        format!("weir_session_{}", self.port)
    }

    /// `expiry.nonce.signature`.
    pub(super) fn issue_session(&self) -> anyhow::Result<String> {
        let expiry = unix_now().saturating_add(SESSION_LIFE).as_secs();
        let body = format!("{expiry}.{}", random_text()?);
        let signature = self.sign_session(&body);
        Ok(format!("{body}.{signature}"))
    }

    pub(super) fn is_session(&self, cookie: &str) -> bool {
        let Some((body, signature)) = cookie.rsplit_once('.') else { return false };
        let genuine: bool = self.sign_session(body).as_bytes().ct_eq(signature.as_bytes()).into();
        let expiry = body.split_once('.').and_then(|(expiry, _)| expiry.parse().ok());
        genuine && expiry.is_some_and(|expiry| unix_now() < Duration::from_secs(expiry))
    }

    fn sign_session(&self, body: &str) -> String {
        self.token.sign(&format!("weir-session:{}:{body}", self.port))
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(token: &str, port: u16) -> Credentials {
        Credentials::new(Token::for_test(token), port)
    }

    #[test]
    fn a_ticket_opens_once() {
        let door = credentials("t", 1);
        let ticket = door.issue_ticket().unwrap();
        assert!(!door.redeem_ticket("other"));
        assert!(door.redeem_ticket(&ticket));
        assert!(!door.redeem_ticket(&ticket));
    }

    #[test]
    fn tickets_do_not_pile_up() {
        let door = credentials("t", 1);
        for _ in 0..500 {
            door.issue_ticket().unwrap();
        }
        assert!(door.tickets.lock().unwrap().len() <= MAX_TICKETS);
    }

    #[test]
    fn a_session_survives_a_restart_but_no_other_token_port_or_change() {
        let session = credentials("t", 1).issue_session().unwrap();
        assert!(credentials("t", 1).is_session(&session));
        assert!(!credentials("u", 1).is_session(&session));
        assert!(!credentials("t", 2).is_session(&session));
        let later = session.replacen(|c: char| c.is_ascii_digit(), "9", 1);
        assert!(later == session || !credentials("t", 1).is_session(&later));
        for cookie in ["", ".", "..", "1.a.b", &session[1..], &session[..session.len() - 1]] {
            assert!(!credentials("t", 1).is_session(cookie), "{cookie}");
        }
    }

    #[test]
    fn an_old_session_is_over_even_when_genuine() {
        let door = credentials("t", 1);
        let body = "1000.x";
        assert!(!door.is_session(&format!("{body}.{}", door.sign_session(body))));
    }

    #[test]
    fn wrong_tokens_are_counted() {
        let door = credentials("t", 1);
        let refused = (0..150).filter(|_| door.count_wrong()).count();
        assert_eq!(refused, 150 - MAX_WRONG as usize);
        assert!(door.is_token("t"));
    }
}
