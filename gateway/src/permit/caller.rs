//! Who is behind a token, remembered per thread so that a request which brings
//! a known token costs no look-up, no lock and no signature.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::IpAddr,
    rc::Rc,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use crds::{contract::Sha256Hash, gateway_config};
use http::HeaderValue;

use super::{Refusal, Standing, is_access_token};
use crate::{
    clock::UnixSeconds,
    core::Core,
    identity::{Claims, LIFETIME, SignerError},
    registry::{PresentedKey, Registry},
    revocations::Dead,
    scopes::ScopeSet,
    store::{GrantId, TokenHash, TokenKind, TokenRecord},
};

/// Callers that a thread remembers, at the most.
const REMEMBERED: usize = 8_192;

/// Who is behind one token.
#[derive(Debug)]
pub struct Caller {
    credential: Credential,
    /// Whether the thread no longer remembers it, so that news of its token's
    /// death would not reach it: to be looked up again.
    stale: Cell<bool>,
    standing: Cell<Option<(u64, Standing)>>,
    identity: RefCell<Option<Identity>>,
}

#[derive(Debug)]
enum Credential {
    Token {
        record: TokenRecord,
        scopes: ScopeSet,
    },
    ApiKey {
        sha256: [u8; 32],
        /// As the registry has it, as of the last look.
        key: RefCell<PresentedKey>,
    },
}

#[derive(Debug)]
struct Identity {
    value: HeaderValue,
    scopes: ScopeSet,
    renew_at: UnixSeconds,
}

/// Finds out who is behind a token.
pub(super) async fn find(core: &Core, token: &[u8]) -> Result<Rc<Caller>, Refusal> {
    let hash = core.shared.keys.pepper.hash(token);
    if let Some(caller) = core.callers.borrow_mut().get(&hash) {
        return Ok(caller);
    }
    // Taken before the store is asked: what dies meanwhile must not be kept.
    let seen = core.shared.revocations.published();
    let caller = Rc::new(Caller::new(credential(core, hash, token).await?));
    core.hear_revocations();
    if seen == core.shared.revocations.published() {
        core.callers.borrow_mut().insert(hash, caller.clone());
    } else {
        caller.stale.set(true);
    }
    Ok(caller)
}

async fn credential(core: &Core, hash: TokenHash, token: &[u8]) -> Result<Credential, Refusal> {
    if is_access_token(core, token) {
        let record = core
            .shared
            .store
            .find(hash)
            .await?
            .ok_or(Refusal::InvalidToken)?;
        match record.kind {
            TokenKind::Access => {}
            // A token that acts for somebody is worth what that consent is.
            TokenKind::Delegated => {
                let (subject, client) = (&record.subject, &record.client);
                let grant = core
                    .shared
                    .grants
                    .in_force(subject, client, record.grant)
                    .await?;
                grant.ok_or(Refusal::InvalidToken)?;
            }
        }
        let scopes = core
            .shared
            .catalogue
            .set(record.scopes.iter().map(String::as_str));
        return Ok(Credential::Token { record, scopes });
    }
    let sha256 = Sha256Hash::of(token).0;
    let registry = core.shared.registry.load();
    let key = registry.api_key(&sha256).ok_or(Refusal::InvalidToken)?;
    Ok(Credential::ApiKey {
        sha256,
        key: RefCell::new(key.clone()),
    })
}

impl Caller {
    fn new(credential: Credential) -> Self {
        Self {
            credential,
            stale: Cell::new(false),
            standing: Cell::new(None),
            identity: RefCell::new(None),
        }
    }

    /// On whose behalf it calls.
    pub(super) fn subject(&self) -> String {
        match &self.credential {
            Credential::Token { record, .. } => record.subject.clone(),
            Credential::ApiKey { key, .. } => key.borrow().key.subject.clone(),
        }
    }

    /// What it brought.
    pub(super) const fn credential(&self) -> gateway_config::Credential {
        match self.credential {
            Credential::Token { .. } => gateway_config::Credential::AccessToken,
            Credential::ApiKey { .. } => gateway_config::Credential::ApiKey,
        }
    }

    fn is_of(&self, grant: GrantId) -> bool {
        matches!(&self.credential, Credential::Token { record, .. } if record.grant == grant)
    }

    /// Whether it must be looked up again.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.get()
    }

    /// The scopes that it has at `now` under the registry of `now`.
    pub(super) fn standing(&self, core: &Core, now: UnixSeconds) -> Standing {
        match &self.credential {
            Credential::Token { record, .. } if now >= record.expires_at => return None,
            Credential::Token { .. } | Credential::ApiKey { .. } => {}
        }
        let registry = core.shared.registry.load();
        let generation = registry.generation();
        let standing = match self.standing.get() {
            Some((known, standing)) if known == generation => standing,
            _ => {
                let standing = self.standing_under(&registry);
                self.standing.set(Some((generation, standing)));
                standing
            }
        };
        match &self.credential {
            Credential::ApiKey { key, .. } => standing.filter(|_| now < key.borrow().expires_at),
            Credential::Token { .. } => standing,
        }
    }

    /// What a changed resource leaves of the token's scopes.
    fn standing_under(&self, registry: &Registry) -> Standing {
        match &self.credential {
            Credential::Token { record, scopes } => registry
                .client(&record.client)
                .map(|client| client.scopes.and(*scopes)),
            Credential::ApiKey { sha256, key: known } => {
                let now = registry.api_key(sha256)?;
                // Its addresses and its subject may have changed as well.
                self.identity.replace(None);
                known.replace(now.clone());
                Some(now.key.scopes)
            }
        }
    }

    /// Whether this address may use the credential.
    pub(super) fn may_call_from(&self, peer: IpAddr) -> Result<(), Refusal> {
        let Credential::ApiKey { key, .. } = &self.credential else {
            return Ok(());
        };
        let known = key.borrow();
        let allowed = &known.key.allowed_cidrs;
        if allowed.is_empty() || allowed.iter().any(|cidr| cidr.contains(&peer)) {
            return Ok(());
        }
        Err(Refusal::Address(peer))
    }

    /// Notes that the credential was used, and accepted as such.
    pub(super) fn note_use(&self, now: UnixSeconds) {
        if let Credential::ApiKey { key, .. } = &self.credential {
            key.borrow().last_use.note(now);
        }
    }

    /// The signed identity: made once, and again when half of its life is over
    /// or the scopes changed.
    pub(super) fn identity(
        &self,
        core: &Core,
        scopes: ScopeSet,
        now: UnixSeconds,
    ) -> Result<HeaderValue, SignerError> {
        let mut identity = self.identity.borrow_mut();
        if let Some(identity) = &*identity
            && now < identity.renew_at
            && identity.scopes == scopes
        {
            return Ok(identity.value.clone());
        }
        let value = self.sign(core, scopes, now)?;
        let renew_at = now + LIFETIME / 2;
        Ok(identity
            .insert(Identity {
                value,
                scopes,
                renew_at,
            })
            .value
            .clone())
    }

    fn sign(
        &self,
        core: &Core,
        scopes: ScopeSet,
        now: UnixSeconds,
    ) -> Result<HeaderValue, SignerError> {
        let key;
        let (client, subject, grant, until) = match &self.credential {
            Credential::Token { record, .. } => (
                &record.client,
                &record.subject,
                URL_SAFE_NO_PAD.encode(record.grant.0),
                record.expires_at,
            ),
            Credential::ApiKey { key: known, .. } => {
                key = known.borrow().key.clone();
                (&key.id, &key.subject, key.id.clone(), UnixSeconds::MAX)
            }
        };
        let id = core.request_ids.next();
        core.shared.keys.signer.sign(&Claims {
            iss: &core.shared.issuer,
            sub: subject,
            client_id: client,
            scope: &core.shared.catalogue.join(scopes),
            grant: &grant,
            jti: id.as_str(),
            iat: now,
            exp: until.min(now + LIFETIME),
        })
    }
}

/// The callers that a thread remembers: two generations, so that forgetting the
/// ones not seen for long costs nothing per request.
#[derive(Debug, Default)]
pub struct Callers {
    young: HashMap<TokenHash, Rc<Caller>>,
    old: HashMap<TokenHash, Rc<Caller>>,
}

impl Callers {
    fn get(&mut self, token: &TokenHash) -> Option<Rc<Caller>> {
        if let Some(caller) = self.young.get(token) {
            return Some(caller.clone());
        }
        let caller = self.old.remove(token)?;
        self.insert(*token, caller.clone());
        Some(caller)
    }

    fn insert(&mut self, token: TokenHash, caller: Rc<Caller>) {
        if self.young.len() >= REMEMBERED / 2 {
            let forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            for caller in forgotten.values() {
                caller.stale.set(true);
            }
        }
        self.young.insert(token, caller);
    }

    /// Forgets who died, wherever the caller is still held.
    pub(crate) fn revoke(&mut self, dead: Dead) {
        for callers in [&mut self.young, &mut self.old] {
            match dead {
                Dead::Token(token) => {
                    if let Some(caller) = callers.remove(&token) {
                        caller.stale.set(true);
                    }
                }
                Dead::Grant(grant) => callers.retain(|_, caller| {
                    let lives = !caller.is_of(grant);
                    caller.stale.set(caller.stale.get() || !lives);
                    lives
                }),
            }
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        for (_, caller) in self.young.drain().chain(self.old.drain()) {
            caller.stale.set(true);
        }
    }
}
