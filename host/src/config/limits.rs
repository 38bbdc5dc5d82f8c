//! `[limits]`: the main ones, then those of each room by itself.

use super::kind::{TIME, TIME_OR_NONE, count, count_or_none, size};
use super::{Config, ConfigError, Keys};

/// Each field under its own name, with its kind.
macro_rules! fields {
    ($keys:ident, $of:expr, $($field:ident: $kind:expr),+ $(,)?) => {
        $( $keys.at(stringify!($field), &$kind, &mut $of.$field)?; )+
    };
}

pub(super) fn keys(keys: &mut Keys<'_>, config: &mut Config) -> Result<(), ConfigError> {
    keys.table("limits", |keys| {
        main(keys, config)?;
        keys.table("smtp", |keys| smtp(keys, &mut config.smtp))?;
        keys.table("imap", |keys| imap(keys, &mut config.imap))?;
        keys.table("pop3", |keys| pop3(keys, &mut config.pop3))
    })
}

/// Those that hold for several rooms at once; what a room's own table says goes before.
fn main(keys: &mut Keys<'_>, config: &mut Config) -> Result<(), ConfigError> {
    let Config { smtp, imap, pop3, flow, gate, .. } = config;
    if keys.at("message_size", &size(), &mut smtp.message_octets_max)? {
        imap.grammar.message_octets_max = smtp.message_octets_max;
        // What is refused for its size is still read away, so that the peer hears why.
        smtp.drain_octets_max = smtp.message_octets_max.saturating_add(16 << 20);
        imap.grammar.drain_octets_max = smtp.drain_octets_max;
    }
    keys.at("recipients", &count(), &mut smtp.recipients_max)?;
    keys.at("connections", &count(), &mut gate.connections)?;
    keys.at("connections_per_ip", &count(), &mut gate.connections_per_ip)?;
    if keys.at("errors", &count(), &mut smtp.errors_max)? {
        imap.errors_max = smtp.errors_max;
        pop3.errors_max = smtp.errors_max;
    }
    keys.at("refusals", &count(), &mut smtp.refusals_max)?;
    keys.at("transactions", &count(), &mut smtp.transactions_max)?;
    if keys.at("command_timeout", &TIME, &mut smtp.command_timeout)? {
        smtp.data_timeout = smtp.command_timeout;
        imap.command_timeout = smtp.command_timeout;
    }
    keys.at("auth_failures", &count_or_none(), &mut flow.limits.auth_failures)?;
    keys.at("header_size", &size(), &mut flow.limits.header_octets_max)?;
    keys.at("received_fields", &count(), &mut flow.limits.received_max)?;
    keys.at("plugin_delay", &TIME_OR_NONE, &mut flow.limits.delay_max)?;
    Ok(())
}

fn smtp(keys: &mut Keys<'_>, limits: &mut maitred_smtp::server::Limits) -> Result<(), ConfigError> {
    fields!(
        keys, limits,
        command_octets_max: size(),
        auth_octets_max: size(),
        endless_line_octets: size(),
        text_line_octets_max: size(),
        chunk_octets_max: size(),
        message_octets_max: size(),
        drain_octets_max: size(),
        recipients_max: count(),
        refusals_max: count(),
        errors_max: count(),
        idle_commands_max: count(),
        transactions_max: count(),
        command_timeout: TIME,
        data_timeout: TIME,
        data_octets_min: size(),
    );
    Ok(())
}

fn imap(keys: &mut Keys<'_>, limits: &mut maitred_imap::Limits) -> Result<(), ConfigError> {
    fields!(
        keys, limits.grammar,
        command_octets_max: size(),
        literal_octets_max: size(),
        line_octets_max: size(),
        message_octets_max: size(),
        chunk_octets_max: size(),
        drain_octets_max: size(),
        nesting_max: count(),
        elements_max: count(),
        texts_max: count(),
        set_elements_max: count(),
    );
    fields!(
        keys, limits,
        unauthenticated_octets_max: size(),
        page_octets: size(),
        errors_max: count(),
        login_timeout: TIME,
        autologout: TIME,
        command_timeout: TIME,
    );
    Ok(())
}

fn pop3(keys: &mut Keys<'_>, limits: &mut maitred_pop3::Limits) -> Result<(), ConfigError> {
    fields!(
        keys, limits,
        command_octets_max: size(),
        auth_octets_max: size(),
        endless_line_octets: size(),
        errors_max: count(),
        messages_max: count(),
        piece_octets_max: size(),
        top_piece_octets_max: size(),
        login_timeout: TIME,
        autologout: TIME,
    );
    Ok(())
}
