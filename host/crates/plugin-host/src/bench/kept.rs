//! An instance that is kept from call to call: it only measures what it costs that a plugin's call never has one.
//!
//! No mail is ever filtered so: what one message left in a variable would be there for the next.

use std::sync::Arc;

use maitred_policy::{Answer, HookCall, SessionFacts};
use wasmtime::Store;
use wasmtime::component::Instance;

use crate::ask::ask;
use crate::host::PluginHost;
use crate::lane::Long;
use crate::load::{bound, first_line};
use crate::loaded::Loaded;
use crate::state::State;
use crate::trial::obeyed_means;

/// The version in service of a plugin, in one instance.
pub struct Kept {
    loaded: Arc<Loaded>,
    store: Store<State>,
    instance: Instance,
}

impl Kept {
    /// Takes a plugin of a host.
    ///
    /// # Errors
    /// There is none of that name, or it cannot be had in an instance that lasts.
    pub async fn of(host: &PluginHost, name: &str) -> Result<Self, String> {
        let loaded = host.in_service(name).ok_or_else(|| format!("no plugin {name} is in service"))?;
        if loaded.guest.setup.is_some() {
            return Err(format!("{name} sets up at each call"));
        }
        let state = State::new(&loaded.identity, obeyed_means(&loaded, None));
        let mut store = Store::new(&loaded.machine.engine, state);
        bound(&loaded.machine, &mut store, loaded.config.limits.time, &Long::default())
            .map_err(|error| first_line(&error))?;
        let instance = loaded.guest.pre.instantiate_async(&mut store).await;
        let instance = instance.map_err(|error| first_line(&error))?;
        Ok(Self { loaded, store, instance })
    }

    /// Asks it, with time and budget of a call.
    ///
    /// # Errors
    /// The call came to no answer.
    pub async fn ask(&mut self, session: &SessionFacts, call: HookCall<'_>) -> Result<Answer, String> {
        let Self { loaded, store, instance } = self;
        store.data_mut().begin(obeyed_means(loaded, None));
        bound(&loaded.machine, store, loaded.config.limits.time, &Long::default())
            .map_err(|error| first_line(&error))?;
        let _running = loaded.machine.running();
        let came = ask(&loaded.guest.hooks, store, instance, session.clone(), call.to_question()).await;
        came.map_err(|error| first_line(&error))?
    }
}
