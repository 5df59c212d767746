//! The size of user data, and how it is packed.

use std::{collections::BTreeMap, io::Write};

use base64::Engine;
use deployix_core::backend::OutputRef;
use flate2::{Compression, GzBuilder};

use super::text::{RenderError, Text};
use crate::request::{RenderUserData, UserDataEncoding, UserDataText};

/// The most bytes that user data may have "in raw form, before it is base64-encoded" (Amazon EC2
/// User Guide, "Instance user data").
pub const LIMIT: usize = 16 * 1024;

/// Tells that user data is too large.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "its user data has {plain} bytes{}, and AWS takes {LIMIT} at most",
    .packed.map(|packed| format!(", compressed {packed}")).unwrap_or_default()
)]
pub struct TooLarge {
    /// Its size.
    pub plain: usize,
    /// Its size when compressed; nothing where whoever reads it would not unpack it.
    pub packed: Option<usize>,
}

/// Chooses how to pack a text, by the longest that it can become.
///
/// It stays readable where it fits, and is compressed where it must be: cloud-init unpacks user data
/// that starts with gzip's magic bytes (cloud-init's documentation, "User data formats").
///
/// # Errors
/// Where it does not fit at all.
pub fn plan(text: &Text) -> Result<RenderUserData, TooLarge> {
    let longest = text.longest();
    if longest.len() > LIMIT && !is_unpacked(&longest) {
        return Err(TooLarge { plain: longest.len(), packed: None });
    }
    let packed = if longest.len() > LIMIT { gzip(longest.as_bytes()).len() } else { 0 };
    let encoding = match (longest.len() <= LIMIT, packed <= LIMIT) {
        (true, _) => UserDataEncoding::Plain,
        (false, true) => UserDataEncoding::Gzip,
        (false, false) => {
            return Err(TooLarge { plain: longest.len(), packed: Some(packed) });
        }
    };
    Ok(RenderUserData { parts: text.parts().to_vec(), encoding })
}

/// Whether whoever reads a text at first boot unpacks it: cloud-init does, by whose formats the text
/// begins then; NixOS's `amazon-init`, which takes it for Nix, does not.
fn is_unpacked(text: &str) -> bool {
    let formats = ["#cloud-", "#!", "#include", "#part-handler", "## template:", "Content-Type:"];
    formats.iter().any(|format| text.starts_with(format))
}

/// Renders user data once the outputs in it are known.
///
/// # Errors
/// See [`Text::render`].
pub fn render(
    request: &RenderUserData,
    outputs: &BTreeMap<OutputRef, String>,
) -> Result<UserDataText, RenderError> {
    let text = Text::from(request.parts.clone()).render(outputs)?;
    let bytes = match request.encoding {
        UserDataEncoding::Plain => text.into_bytes(),
        UserDataEncoding::Gzip => gzip(text.as_bytes()),
    };
    Ok(UserDataText(base64::engine::general_purpose::STANDARD.encode(bytes)))
}

/// Compresses; no time and no name in it, so equal bytes give equal bytes.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    // Writing to memory cannot fail; were it to, the empty result would be refused by cloud-init.
    let written = encoder.write_all(bytes);
    written.and_then(|()| encoder.finish()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn noise(bytes: usize) -> Text {
        let digests =
            (0u32..).map(|n| deployix_core::Digest::of_bytes(&n.to_le_bytes()).to_string());
        let mut text: String = digests.take(bytes / 64 + 1).collect();
        text.insert_str(0, "#cloud-config\n");
        text.truncate(bytes);
        Text::from(text)
    }

    #[test]
    fn user_data_is_compressed_only_where_it_has_to_be() {
        assert_eq!(plan(&noise(LIMIT)).unwrap().encoding, UserDataEncoding::Plain);
        assert_eq!(plan(&noise(LIMIT + 1)).unwrap().encoding, UserDataEncoding::Gzip);
        let error = plan(&noise(4 * LIMIT)).unwrap_err();
        assert_eq!(error.plain, 4 * LIMIT);
        assert!(error.packed.unwrap() > LIMIT);
    }

    #[test]
    fn what_nobody_would_unpack_is_not_compressed() {
        let nix = Text::from(format!("# Generated.\n{}", "x".repeat(LIMIT)));
        assert_eq!(plan(&nix).unwrap_err().packed, None);
    }

    #[test]
    fn compressed_user_data_unpacks_to_what_it_was() {
        let text = noise(LIMIT + 1);
        let rendered = render(&plan(&text).unwrap(), &BTreeMap::new()).unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(rendered.0).unwrap();
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut unpacked).unwrap();
        assert_eq!(Some(unpacked.as_str()), text.as_known());
    }
}
