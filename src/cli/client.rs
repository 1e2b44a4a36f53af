//! A small HTTP client of a log: one base URL, bounded answers, plain errors.
//!
//! `https` is checked against the system's authorities, or those of `--ca` alone.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use ureq::tls::Certificate;
use ureq::tls::PemItem;
use ureq::tls::RootCerts;
use ureq::tls::TlsConfig;
use ureq::tls::TlsProvider;

use crate::cli::Exit;
use crate::cli::say::Fail;
use crate::cli::say::one_line;

/// Largest answer that is read, bytes.
const MAX_ANSWER: u64 = 32 << 20;

/// Whom an `https` service is believed by.
#[derive(Clone, Debug, Default, clap::Args)]
pub(in crate::cli) struct Reach {
    /// Certificates of authorities (PEM) to trust for `https` instead of the system's.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

impl Reach {
    fn config(&self) -> Result<TlsConfig, Fail> {
        let roots = match &self.ca {
            None => RootCerts::PlatformVerifier,
            Some(path) => {
                let pem = fs::read(path).map_err(|cause| Fail::file(path, cause))?;
                let wrong = || Fail::usage(format!("`{}` holds no certificate (PEM)", path.display()));
                let certificates: Vec<Certificate<'static>> = ureq::tls::parse_pem(&pem)
                    .filter_map(|item| match item {
                        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                        Ok(_) => None,
                        Err(cause) => Some(Err(wrong().why(cause))),
                    })
                    .collect::<Result<_, _>>()?;
                if certificates.is_empty() {
                    return Err(wrong());
                }
                RootCerts::from(certificates)
            }
        };
        Ok(TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(roots).build())
    }
}

/// One service.
#[derive(Debug)]
pub(in crate::cli) struct Client {
    base: String,
    agent: ureq::Agent,
}

/// What came back.
#[derive(Debug)]
pub(in crate::cli) struct Answer {
    pub(in crate::cli) status: u16,
    pub(in crate::cli) body: Vec<u8>,
}

impl Client {
    /// A client of `http[s]://host[:port][/prefix]`.
    pub(in crate::cli) fn new(base: &str, reach: &Reach) -> Result<Self, Fail> {
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(Fail::usage(format!("`{base}` is not an http:// or https:// URL")));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_global(Some(Duration::from_secs(60)))
            .max_redirects(0)
            .tls_config(reach.config()?)
            .build();
        Ok(Self { base: base.trim_end_matches('/').to_owned(), agent: config.into() })
    }

    pub(in crate::cli) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    pub(in crate::cli) fn get(&self, path: &str) -> Result<Answer, Fail> {
        let url = self.url(path);
        Self::read(&url, self.agent.get(&url).call())
    }

    /// As [`Client::get`], with headers.
    pub(in crate::cli) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, Fail> {
        let url = self.url(path);
        let mut request = self.agent.get(&url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Self::read(&url, request.call())
    }

    /// A body of any size: not held in memory, and without a limit of time.
    pub(in crate::cli) fn get_stream(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        out: &mut dyn Write,
    ) -> Result<u16, Fail> {
        let url = self.url(path);
        let mut request = self.agent.get(&url).config().timeout_global(None).build();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.call().map_err(|error| unreachable(&url, &error))?;
        let status = answer.status().as_u16();
        if status == 200 {
            let mut body = answer.into_body().into_reader();
            std::io::copy(&mut body, out).map_err(|error| unreachable(&url, &error))?;
        }
        Ok(status)
    }

    /// Posts what a reader brings, likewise.
    pub(in crate::cli) fn post_stream(
        &self,
        path: &str,
        content_type: &str,
        headers: &[(&str, &str)],
        mut body: &mut dyn Read,
    ) -> Result<Answer, Fail> {
        let url = self.url(path);
        let request = self.agent.post(&url).config().timeout_global(None).build();
        let mut request = request.header("content-type", content_type);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Self::read(&url, request.send(ureq::SendBody::from_reader(&mut body)))
    }

    /// Posts bytes; `headers` beside the content type.
    pub(in crate::cli) fn post(
        &self,
        path: &str,
        content_type: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, Fail> {
        let url = self.url(path);
        let mut request = self.agent.post(&url).header("content-type", content_type);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Self::read(&url, request.send(body))
    }

    fn read(
        url: &str,
        answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Answer, Fail> {
        let answer = answer.map_err(|error| unreachable(url, &error))?;
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        let mut reader = answer.into_body().into_reader().take(MAX_ANSWER + 1);
        reader.read_to_end(&mut body).map_err(|error| unreachable(url, &error))?;
        if body.len() as u64 > MAX_ANSWER {
            return Err(unreachable(url, &"the answer is larger than 32 MiB"));
        }
        Ok(Answer { status, body })
    }
}

fn unreachable(url: &str, cause: &dyn std::fmt::Display) -> Fail {
    Fail::new(format!("`{url}` does not answer"))
        .why(cause)
        .next("is the service running, and is this its address?")
        .exit(Exit::Unreachable)
}

impl Answer {
    /// The problem document's words, or the status alone.
    pub(in crate::cli) fn problem(&self) -> String {
        let json: Option<serde_json::Value> = serde_json::from_slice(&self.body).ok();
        let text = |name: &str| json.as_ref().and_then(|j| j.get(name)).and_then(|v| v.as_str());
        let words: Vec<&str> =
            ["title", "detail", "error", "error_description"].iter().filter_map(|n| text(n)).collect();
        if words.is_empty() {
            format!("status {}", self.status)
        } else {
            one_line(&format!("status {}: {}", self.status, words.join(": ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_a_service_is_one_line() {
        let body = serde_json::json!({ "title": "refused\nwhy: all is well", "detail": "\u{1b}[2J" });
        let answer = Answer { status: 403, body: body.to_string().into_bytes() };
        assert_eq!(answer.problem(), "status 403: refused\u{fffd}why: all is well: \u{fffd}[2J");
    }
}
