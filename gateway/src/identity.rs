//! Who is calling, as the upstream hears it: a JWT that only the gateway can
//! sign (`EdDSA`, RFC 8037), in the header `Flightgate-Identity`.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::clock::UnixSeconds;

/// The header that carries the identity; never taken from outside.
pub static HEADER: HeaderName = HeaderName::from_static("flightgate-identity");

/// Seconds that an identity is valid. It is signed once for many requests, and
/// anew when half of this has passed.
pub const LIFETIME: u64 = 600;

/// The claims of an identity.
#[derive(Debug, Serialize)]
pub struct Claims<'a> {
    /// The gateway's issuer.
    pub iss: &'a str,
    /// On whose behalf: a user, or the client itself.
    pub sub: &'a str,
    /// The client, or the API key's id.
    pub client_id: &'a str,
    /// What is permitted, separated by spaces.
    pub scope: &'a str,
    /// The grant behind it.
    pub grant: &'a str,
    /// Names this identity.
    pub jti: &'a str,
    /// When it was signed.
    pub iat: UnixSeconds,
    /// Until when it is valid.
    pub exp: UnixSeconds,
}

/// Signs identities.
pub struct Signer {
    key: Ed25519KeyPair,
    header: String,
    jwks: Bytes,
}

/// The identity key or a claim was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The key's bytes are no Ed25519 seed.
    #[error("the identity key is not an Ed25519 seed of 32 bytes")]
    Key,
    /// A claim cannot be written.
    #[error("an identity could not be written: {0}")]
    Claims(String),
}

impl Signer {
    /// The signer of an Ed25519 seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, SignerError> {
        let key = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| SignerError::Key)?;
        let x = BASE64.encode(key.public_key().as_ref());
        // The key's thumbprint (RFC 7638) names it: equal keys, equal names.
        let thumb = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        let kid = BASE64.encode(thumb);
        let header = BASE64.encode(format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}"}}"#));
        let jwks = format!(
            r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"{kid}","x":"{x}"}}]}}"#
        );
        Ok(Self {
            key,
            header,
            jwks: jwks.into(),
        })
    }

    /// The public keys as a JWK set (RFC 7517).
    pub fn jwks(&self) -> Bytes {
        self.jwks.clone()
    }

    /// The signed identity as a header value.
    pub fn sign(&self, claims: &Claims<'_>) -> Result<HeaderValue, SignerError> {
        let failed = |error: &dyn std::fmt::Display| SignerError::Claims(error.to_string());
        let json = serde_json::to_vec(claims).map_err(|error| failed(&error))?;
        let mut jwt = String::with_capacity(self.header.len() + json.len() * 4 / 3 + 92);
        jwt.push_str(&self.header);
        jwt.push('.');
        BASE64.encode_string(json, &mut jwt);
        let signature = self.key.sign(jwt.as_bytes());
        jwt.push('.');
        BASE64.encode_string(signature, &mut jwt);
        let mut value = HeaderValue::try_from(jwt).map_err(|error| failed(&error))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn an_identity_verifies_against_the_published_key() {
        let signer = Signer::from_seed(&[7; 32]).unwrap();
        let claims = Claims {
            iss: "https://localhost",
            sub: "pilot:anna",
            client_id: "fg_app_x",
            scope: "flights:read",
            grant: "g",
            jti: "j",
            iat: 1,
            exp: 2,
        };
        let identity = signer.sign(&claims).unwrap();
        let jwt = identity.to_str().unwrap();
        let (message, signature) = jwt.rsplit_once('.').unwrap();
        let jwks: serde_json::Value = serde_json::from_slice(&signer.jwks()).unwrap();
        let x = BASE64
            .decode(jwks["keys"][0]["x"].as_str().unwrap())
            .unwrap();
        let signature = BASE64.decode(signature).unwrap();
        UnparsedPublicKey::new(&ED25519, x)
            .verify(message.as_bytes(), &signature)
            .unwrap();
        let payload = BASE64.decode(message.split_once('.').unwrap().1).unwrap();
        let payload: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(payload["sub"], "pilot:anna");
        assert!(identity.is_sensitive());
    }
}
