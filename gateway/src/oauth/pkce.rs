//! Proof Key for Code Exchange (RFC 7636): S256 alone.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

/// Whether this can be a challenge: base64url of 32 bytes, without padding
/// (AF-25).
pub fn is_challenge(text: &str) -> bool {
    text.len() == 43
        && URL_SAFE_NO_PAD
            .decode(text)
            .is_ok_and(|bytes| bytes.len() == 32)
}

/// Whether this can be a verifier: 43 to 128 unreserved characters (WF-58,
/// AF-24).
pub fn is_verifier(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

/// Whether the challenge was made from this verifier.
pub fn verify(challenge: &str, verifier: &str) -> bool {
    let made = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    is_verifier(verifier) && verify_slices_are_equal(made.as_bytes(), challenge.as_bytes()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_appendix_b_holds() {
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(is_challenge(challenge) && is_verifier(verifier));
        assert!(verify(challenge, verifier));
        assert!(!verify(challenge, challenge), "plain is not spoken here");
        assert!(!verify(verifier, verifier));
    }

    #[test]
    fn lengths_and_alphabets_are_as_the_rfc_has_them() {
        for length in [43, 128] {
            assert!(is_verifier(&"~".repeat(length)));
        }
        for text in [
            "a".repeat(42),
            "a".repeat(129),
            "+".repeat(43),
            "é".repeat(43),
        ] {
            assert!(!is_verifier(&text), "{text}");
        }
        for text in [
            "a".repeat(42),
            "a".repeat(44),
            "+".repeat(43),
            "=".repeat(43),
        ] {
            assert!(!is_challenge(&text), "{text}");
        }
    }
}
