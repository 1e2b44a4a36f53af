//! What a line of the table of routes says.

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Without a token.
    Anyone,
    /// A logged-in citizen.
    Citizen,
    /// A registered party.
    Party,
    /// A registered party that is a regulator in good standing.
    Regulator,
    /// Another log that delivers here, by the certificate of its connection.
    Carrier,
}

impl Role {
    /// The word of the golden list.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Citizen => "citizen",
            Self::Party => "party",
            Self::Regulator => "regulator",
            Self::Carrier => "carrier",
        }
    }
}

/// A route's method; `GET` answers `HEAD` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Write or ask.
    Post,
    /// Write under a name, once or again.
    Put,
}

impl Method {
    /// As in a request.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }
}

/// What stands around a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dress {
    /// Nothing: the handler answers alone.
    Bare,
    /// Request ids, problems, headers.
    Envelope,
}

/// How a route counts against its callers' shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// Each request is one.
    Caller,
    /// The same, but closing acts are taken beyond any share.
    Statements,
    /// Not at all: whoever checks the log, or how the service is, is never turned away.
    Free,
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, variable parts in braces.
    pub path: &'static str,
    /// Who may call it.
    pub roles: &'static [Role],
    /// Largest body, bytes.
    pub limit: usize,
    /// What stands around it.
    pub dress: Dress,
    /// How it counts against its callers' shares.
    pub meter: Meter,
    /// Names the handler.
    pub bind: fn(actix_web::Route) -> actix_web::Route,
}

impl Route {
    /// A read.
    #[must_use]
    pub const fn get(
        path: &'static str,
        roles: &'static [Role],
        bind: fn(actix_web::Route) -> actix_web::Route,
    ) -> Self {
        Self {
            method: Method::Get,
            path,
            roles,
            limit: 0,
            dress: Dress::Envelope,
            meter: Meter::Caller,
            bind,
        }
    }

    /// A write or a question, with the largest body it takes.
    #[must_use]
    pub const fn post(
        path: &'static str,
        roles: &'static [Role],
        limit: usize,
        bind: fn(actix_web::Route) -> actix_web::Route,
    ) -> Self {
        Self { method: Method::Post, path, roles, limit, dress: Dress::Envelope, meter: Meter::Caller, bind }
    }

    /// A write under a name, with the largest body it takes.
    #[must_use]
    pub const fn put(
        path: &'static str,
        roles: &'static [Role],
        limit: usize,
        bind: fn(actix_web::Route) -> actix_web::Route,
    ) -> Self {
        Self { method: Method::Put, ..Self::post(path, roles, limit, bind) }
    }

    pub(in crate::http) const fn bare(self) -> Self {
        Self { dress: Dress::Bare, ..self }
    }

    pub(in crate::http) const fn taking(self, meter: Meter) -> Self {
        Self { meter, ..self }
    }
}
