//! What mail clients ask to set themselves up: the autoconfiguration file, version 1.1, of Thunderbird and others.
//!
//! Asked as `http://autoconfig.DOMAIN/mail/config-v1.1.xml?emailaddress=USER@DOMAIN` and
//! `https://DOMAIN/.well-known/autoconfig/mail/config-v1.1.xml`. Nothing in it depends on who has an account here.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::HttpFacts;

/// What a service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Reading, with the mail kept here.
    Imap,
    /// Fetching.
    Pop3,
    /// Sending.
    Submission,
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from the start.
    Tls,
    /// STARTTLS or STLS.
    StartTls,
    /// None: loopback only.
    Plain,
}

/// A service that mail clients may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailService {
    /// What it is.
    pub service: Service,
    /// Its port.
    pub port: u16,
    /// How it is protected.
    pub security: Security,
}

#[derive(serde::Deserialize)]
pub(super) struct Asked {
    emailaddress: Option<String>,
}

pub(super) async fn page(
    State(facts): State<Arc<dyn HttpFacts>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let Some(domain) = domain(&*facts, asked.emailaddress.as_deref(), &headers) else {
        return (StatusCode::NOT_FOUND, "no such mail domain here\n").into_response();
    };
    let xml = config(&domain, &facts.hostname(), facts.services());
    ([(header::CONTENT_TYPE, "application/xml; charset=utf-8")], xml).into_response()
}

/// Whose settings are asked for: those of the address, else of the host that was asked. Only ours.
fn domain(facts: &dyn HttpFacts, address: Option<&str>, headers: &HeaderMap) -> Option<String> {
    let of_address = address.and_then(|address| address.rsplit_once('@')).map(|(_, domain)| domain);
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.map(|host| host.rsplit_once(':').map_or(host, |(name, _port)| name));
    let of_host = host.map(|host| host.strip_prefix("autoconfig.").unwrap_or(host));
    let domain = of_address.or(of_host)?.to_lowercase();
    facts.is_local(&domain).then_some(domain)
}

fn config(domain: &str, hostname: &str, mut services: Vec<MailService>) -> String {
    let (domain, hostname) = (escaped(domain), escaped(hostname));
    // A client takes the first that it can use.
    services.sort_by_key(|service| (service.service as u8, service.security as u8));
    let mut xml =
        String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<clientConfig version=\"1.1\">\n");
    // Writing to a String does not fail.
    let _ = writeln!(xml, "  <emailProvider id=\"{domain}\">");
    let _ = writeln!(xml, "    <domain>{domain}</domain>\n    <displayName>{domain}</displayName>");
    let _ = writeln!(xml, "    <displayShortName>{domain}</displayShortName>");
    for MailService { service, port, security } in services {
        let (element, kind) = match service {
            Service::Imap => ("incomingServer", "imap"),
            Service::Pop3 => ("incomingServer", "pop3"),
            Service::Submission => ("outgoingServer", "smtp"),
        };
        let socket = match security {
            Security::Tls => "SSL",
            Security::StartTls => "STARTTLS",
            Security::Plain => "plain",
        };
        let _ = writeln!(xml, "    <{element} type=\"{kind}\">");
        let _ = writeln!(xml, "      <hostname>{hostname}</hostname>\n      <port>{port}</port>");
        let _ = writeln!(xml, "      <socketType>{socket}</socketType>");
        let _ = writeln!(xml, "      <username>%EMAILADDRESS%</username>");
        // Under TLS the password itself is what is sent (PLAIN, LOGIN).
        let _ = writeln!(xml, "      <authentication>password-cleartext</authentication>");
        let _ = writeln!(xml, "    </{element}>");
    }
    xml.push_str("  </emailProvider>\n</clientConfig>\n");
    xml
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protected_services_come_first_and_names_are_escaped() {
        let service = |service, port, security| MailService { service, port, security };
        let services = vec![
            service(Service::Submission, 2587, Security::StartTls),
            service(Service::Imap, 2143, Security::StartTls),
            service(Service::Imap, 2993, Security::Tls),
        ];
        let xml = config("a&b.test", "mx.test", services);
        let ports: Vec<&str> = xml.lines().filter_map(|line| line.trim().strip_prefix("<port>")).collect();
        assert_eq!(ports, ["2993</port>", "2143</port>", "2587</port>"]);
        assert!(xml.contains("<domain>a&amp;b.test</domain>"), "{xml}");
    }
}
