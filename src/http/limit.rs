//! Rate limits by caller: a share for each party, each citizen's key, each address without token.
//!
//! One check a request, on one atomic cell: no lock, no allocation, memory of a fixed size.
//! A caller is found by a keyed hash, so two may meet in one of 65,536 cells and share it; nobody
//! outside can tell who meets whom. A batch counts as one request: its size is limited by itself.
//!
//! Lacks, on purpose: a limit that could stop a closing act (they have a lane of their own, and
//! half of the verifying pool), limits for who reads the public log or asks how the service is,
//! and limits shared between machines.
//!
//! Trusted: the peer's address; `X-Forwarded-For` only from proxies the configuration names.
//! Source: design section 5 (closing acts); draft-ietf-httpapi-ratelimit-headers-10; RFC 6585
//! section 4.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::HttpMessage;
use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::http::header::HeaderName;
use actix_web::http::header::HeaderValue;
use actix_web::web;
use governor::Quota;
use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::InMemoryState;
use governor::state::NotKeyed;
use governor::state::StateStore;

use crate::http::Meter;
use crate::http::Role;
use crate::http::Route;
use crate::http::Shared;
use crate::identity::Unverified;
use crate::model::statement::Bearing;
use crate::node::Caller;
use crate::node::clock::Steady;

/// How much each sort of caller may ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests a second of one party, saved up for ten seconds; 0: no limit.
    pub party: u32,
    /// Requests a second of one citizen, over all her sessions, saved up for ten seconds; 0: no limit.
    pub session: u32,
    /// Requests a second of one address without token, saved up for ten seconds; 0: no limit.
    /// Loopback has none: it is this machine, or a proxy on it.
    pub address: u32,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub proxies: Vec<IpAddr>,
}

/// For how long a caller may save up what it does not ask, s.
const WINDOW_S: u32 = 10;
/// Callers beyond this many share cells, a sort.
const CELLS: usize = 1 << 16;

const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Where a caller stands after its newest request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) struct Standing {
    /// Of which share.
    sort: Sort,
    /// Requests left.
    left: u32,
    /// Seconds until the share is whole again; of a refusal: until one request is taken.
    seconds: u64,
}

impl Standing {
    /// Seconds after which a request is taken again.
    pub(in crate::http) const fn retry_after_s(self) -> u64 {
        self.seconds
    }
}

/// Set beside a request that came beyond its share, and may still be a closing act.
struct Beyond(Standing);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Party,
    Session,
    Address,
}

impl Sort {
    /// The policy's name in the headers.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Party => "party",
            Self::Session => "session",
            Self::Address => "address",
        }
    }
}

/// Cells in place of a map: a caller is its hash.
struct Cells {
    all: Box<[InMemoryState]>,
    spare: InMemoryState,
}

impl StateStore for Cells {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let place = usize::try_from(*key % CELLS as u64).unwrap_or_default();
        self.all.get(place).unwrap_or(&self.spare).measure_and_replace(&NotKeyed::NonKey, measure)
    }
}

/// The node's time, as the limiter reads it.
#[derive(Clone, Debug)]
struct Pulse(Steady);

impl Clock for Pulse {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The limit of one sort of callers.
struct Share {
    sort: Sort,
    rate: u32,
    limiter: RateLimiter<u64, Cells, Pulse, StateInformationMiddleware>,
    policy: HeaderValue,
}

impl Share {
    fn new(sort: Sort, rate: u32, pulse: &Pulse) -> Option<Self> {
        let per_second = NonZeroU32::new(rate)?;
        let burst = per_second.saturating_mul(NonZeroU32::new(WINDOW_S)?);
        let quota = Quota::per_second(per_second).allow_burst(burst);
        let all = (0..CELLS).map(|_| InMemoryState::default()).collect();
        let cells = Cells { all, spare: InMemoryState::default() };
        let policy = format!("\"{}\";q={burst};w={WINDOW_S}", sort.as_str());
        Some(Self {
            sort,
            rate,
            limiter: RateLimiter::new(quota, cells, pulse.clone()),
            policy: HeaderValue::from_str(&policy).ok()?,
        })
    }

    /// Takes one request from the caller's share.
    fn take(&self, caller: u64) -> Result<Standing, Standing> {
        let standing = |left, seconds| Standing { sort: self.sort, left, seconds };
        match self.limiter.check_key(&caller) {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                let spent = state.quota().burst_size().get().saturating_sub(left);
                Ok(standing(left, u64::from(spent.div_ceil(self.rate))))
            }
            Err(until) => {
                let wait = until.wait_time_from(self.limiter.clock().now());
                let seconds = u64::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
                Err(standing(0, seconds.max(1)))
            }
        }
    }
}

/// All shares of one server.
pub(in crate::http) struct Limiter {
    party: Option<Share>,
    session: Option<Share>,
    address: Option<Share>,
    proxies: Vec<IpAddr>,
    seed: RandomState,
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

impl Limiter {
    pub(in crate::http) fn new(limits: &Limits, time: Steady) -> Self {
        let pulse = Pulse(time);
        Self {
            party: Share::new(Sort::Party, limits.party, &pulse),
            session: Share::new(Sort::Session, limits.session, &pulse),
            address: Share::new(Sort::Address, limits.address, &pulse),
            proxies: limits.proxies.clone(),
            seed: RandomState::new(),
        }
    }

    const fn share(&self, sort: Sort) -> Option<&Share> {
        match sort {
            Sort::Party => self.party.as_ref(),
            Sort::Session => self.session.as_ref(),
            Sort::Address => self.address.as_ref(),
        }
    }

    /// Whose address counts: the peer's, or the one the nearest proxy of ours saw.
    fn address(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip().to_canonical();
        if !self.proxies.contains(&peer) {
            return (!peer.is_loopback()).then_some(peer);
        }
        // The last entry is the proxy's own word; those before it are the caller's.
        let last = request.headers().get_all(FORWARDED).last()?.to_str().ok()?;
        last.rsplit(',').next()?.trim().parse().map(|ip: IpAddr| ip.to_canonical()).ok()
    }

    fn charge(&self, request: &HttpRequest, share: &Share, caller: u64) -> Result<(), Standing> {
        let taken = share.take(caller);
        let (Ok(standing) | Err(standing)) = taken;
        request.extensions_mut().insert(standing);
        taken.map(|_| ())
    }

    fn charge_address(&self, request: &HttpRequest) -> Result<(), Standing> {
        let Some(share) = &self.address else { return Ok(()) };
        let Some(address) = self.address(request) else { return Ok(()) };
        self.charge(request, share, self.seed.hash_one(network(address)))
    }
}

/// An IPv6 customer holds a /64 and may speak from any address in it.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
    }
}

fn limiter(request: &HttpRequest) -> Option<&Limiter> {
    request.app_data::<web::Data<Shared>>().map(|shared| &shared.limiter)
}

/// Charges a caller whose token is good, or the address of one whose token is not.
pub(in crate::http) fn charge(request: &HttpRequest, caller: Option<&Caller>) -> Result<(), Standing> {
    let Some(limiter) = limiter(request) else { return Ok(()) };
    match caller {
        Some(Caller::Party(party)) => {
            let Some(share) = &limiter.party else { return Ok(()) };
            limiter.charge(request, share, limiter.seed.hash_one(party))
        }
        Some(Caller::Citizen(key)) => {
            let Some(share) = &limiter.session else { return Ok(()) };
            limiter.charge(request, share, limiter.seed.hash_one(key.0))
        }
        None => limiter.charge_address(request),
    }
}

/// Charges a log that delivers here.
pub(in crate::http) fn charge_carrier(request: &HttpRequest, origin: &str) -> Result<(), Standing> {
    let Some(limiter) = limiter(request) else { return Ok(()) };
    let Some(share) = &limiter.party else { return Ok(()) };
    limiter.charge(request, share, limiter.seed.hash_one(origin))
}

/// Before the handler: charges the address, where no token will be read.
///
/// Beyond its share, a request that may carry a closing act is let through to be looked at.
pub(in crate::http) fn admit(request: &HttpRequest) -> Result<(), Standing> {
    let Some(route) = request.app_data::<&'static Route>() else { return Ok(()) };
    // Who delivers is known by its certificate: the handler looks at it first.
    if matches!(route.roles, [Role::Carrier]) {
        return Ok(());
    }
    let reads_token = !matches!(route.roles, [Role::Anyone]);
    if route.meter == Meter::Free || (reads_token && request.headers().contains_key(header::AUTHORIZATION)) {
        return Ok(());
    }
    let Some(limiter) = limiter(request) else { return Ok(()) };
    match limiter.charge_address(request) {
        Err(standing) if route.meter == Meter::Statements => {
            request.extensions_mut().insert(Beyond(standing));
            Ok(())
        }
        charged => charged,
    }
}

/// After the body is here: beyond the share, only closing acts go on.
pub(in crate::http) fn admit_statements<'a>(
    request: &HttpRequest,
    mut items: impl Iterator<Item = &'a [u8]>,
) -> Result<(), Standing> {
    let beyond = request.extensions().get::<Beyond>().map(|beyond| beyond.0);
    let Some(standing) = beyond else { return Ok(()) };
    let closes = |item: &[u8]| {
        Unverified::parse(item.to_vec()).is_ok_and(|item| item.kind().bearing() == Bearing::Closing)
    };
    if items.all(closes) { Ok(()) } else { Err(standing) }
}

/// What tells the caller where it stands.
pub(in crate::http) fn told(request: &HttpRequest) -> Option<[(HeaderName, HeaderValue); 2]> {
    let standing = request.extensions().get::<Standing>().copied()?;
    let share = limiter(request)?.share(standing.sort)?;
    let now = format!("\"{}\";r={};t={}", standing.sort.as_str(), standing.left, standing.seconds);
    Some([(POLICY, share.policy.clone()), (LIMIT, HeaderValue::from_str(&now).ok()?)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::Timestamp;
    use crate::node::clock;

    fn share(rate: u32) -> (clock::Clock, Share) {
        let clock = clock::Clock::manual(Timestamp(1_000_000));
        let share = Share::new(Sort::Party, rate, &Pulse(clock.steady())).unwrap();
        (clock, share)
    }

    #[test]
    fn a_share_is_ten_seconds_deep_and_fills_again_with_time() {
        let (clock, share) = share(2);
        for left in (0..20).rev() {
            assert_eq!(share.take(7).unwrap().left, left);
        }
        let refused = share.take(7).unwrap_err();
        assert_eq!((refused.left, refused.seconds), (0, 1));
        assert!(share.take(8).is_ok(), "another caller has its own");
        clock.set(Timestamp(1_000_500));
        assert_eq!(share.take(7).unwrap(), Standing { sort: Sort::Party, left: 0, seconds: 10 });
        assert!(share.take(7).is_err());
        clock.set(Timestamp(1_060_000));
        assert_eq!(share.take(7).unwrap().left, 19);
    }

    #[test]
    fn a_clock_set_back_gives_and_takes_nothing() {
        let (clock, share) = share(1);
        assert_eq!(share.take(7).unwrap().left, 9);
        clock.set(Timestamp(5));
        assert_eq!(share.take(7).unwrap().left, 8);
    }

    #[test]
    fn neighbours_in_one_network_are_one_caller() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    #[test]
    fn no_rate_is_no_limit() {
        assert!(Share::new(Sort::Address, 0, &Pulse(clock::Clock::System.steady())).is_none());
    }
}
