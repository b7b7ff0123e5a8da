//! Why sealing or opening failed.

/// Why a JWE is not one of ours in form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// Longer than [`MAX_JWE_BYTES`](super::MAX_JWE_BYTES), or the content than
    /// [`MAX_CONTENT_BYTES`](super::MAX_CONTENT_BYTES).
    #[error("longer than the limit")]
    TooLong,
    /// A header longer than [`MAX_HEADER_BYTES`](super::MAX_HEADER_BYTES).
    #[error("a header longer than the limit")]
    HeaderTooLong,
    /// More recipients than [`MAX_AUDIENCES`](super::MAX_AUDIENCES).
    #[error("too many recipients")]
    TooManyRecipients,
    /// Neither five parts with dots between nor the five members of the general JSON form.
    #[error("neither the compact nor the general form")]
    Shape,
    /// Not canonical base64url without padding (RFC 4648 §5).
    #[error("not canonical base64url")]
    Base64,
    /// Not JSON, or nested too deep.
    #[error("not JSON")]
    Json,
    /// A JSON member that occurs twice (RFC 7516 §4).
    #[error("a member occurs twice")]
    DuplicateMember,
    /// A member that this profile does not know; `crit`, `zip`, `jwk`, `jku`, `x5c` are such.
    #[error("an unknown member")]
    UnknownMember,
    /// A required member is missing.
    #[error("a missing member")]
    MissingMember,
    /// A member has the wrong type or form.
    #[error("a member of the wrong type")]
    MemberType,
    /// An iv, authentication tag or encrypted key of the wrong length.
    #[error("a part of the wrong length")]
    Length,
    /// An ephemeral key that is not a canonical X25519 number. (One of small order shows when the
    /// keys are agreed, as [`OpenError::Failed`].)
    #[error("a bad ephemeral key")]
    EphemeralKey,
    /// Recipients that are not ascending and distinct, or one recipient in the general form.
    #[error("recipients that are not ascending")]
    Order,
    /// A header of which every byte is fixed, with members in another order or another spelling.
    #[error("a header in another spelling")]
    Spelling,
}

/// The member of a [`Binding`](super::Binding) that disagrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindingMember {
    /// `iss`: who owns the item.
    Owner,
    /// `act`: who wrote it.
    Author,
    /// `col`: the kind and name of the collection.
    Collection,
    /// `tag`: the name of a mutable or versioned item.
    Tag,
    /// `prop`: the name of a single sealed property.
    Property,
}

/// Why a JWE was not opened. No plaintext is released with any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not one of ours in form.
    #[error("not a sealed content: {0}")]
    Malformed(#[from] Malformed),
    /// `alg`, `enc` or `pad` name something that this profile does not offer.
    #[error("an algorithm that is not offered")]
    Algorithm,
    /// It was sealed for another place or by another author.
    #[error("sealed for another place: {0:?} disagrees")]
    Binding(BindingMember),
    /// No key at hand belongs to the audience.
    #[error("no key for this audience")]
    NotForUs,
    /// Decryption failed: wrong key, altered ciphertext, broken commitment or padding. One error
    /// for all, so that nobody learns which.
    #[error("opening failed")]
    Failed,
}

/// Why content was not sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// There is nobody to seal to.
    #[error("no audience")]
    NoAudience,
    /// More than [`MAX_AUDIENCES`](super::MAX_AUDIENCES).
    #[error("too many audiences")]
    TooManyAudiences,
    /// One tag occurs twice in the audience.
    #[error("an audience tag occurs twice")]
    DuplicateAudience,
    /// The content is longer than [`MAX_CONTENT_BYTES`](super::MAX_CONTENT_BYTES).
    #[error("the content is longer than the limit")]
    TooLong,
    /// Binding and content type are longer than [`MAX_HEADER_BYTES`](super::MAX_HEADER_BYTES).
    #[error("the header is longer than the limit")]
    HeaderTooLong,
    /// The object has no property of this name.
    #[error("no such property: {0}")]
    NoProperty(String),
    /// The property is sealed already.
    #[error("the property is sealed already: {0}")]
    AlreadySealed(String),
    /// The operating system gave no random bytes, or the cipher failed.
    #[error("sealing failed")]
    Failed,
}

/// Why a text is not an encryption key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a JWK with exactly the known members, each once.
    #[error("not a JWK of the expected form")]
    Jwk,
    /// `kty`, `crv`, `alg` or `use` name another kind of key.
    #[error("another kind of key")]
    Kind,
    /// Not canonical base64url, or not of the right length.
    #[error("a part of the wrong length")]
    Length,
    /// A point of small order or a number that is not reduced (RFC 7748 §6.1).
    #[error("a point of small order or not reduced")]
    Point,
    /// The private half does not belong to the public one.
    #[error("the halves do not belong together")]
    Mismatch,
    /// An RSA modulus of fewer than 2,048 or more than 4,096 bits, or an exponent other than 65,537.
    #[error("an RSA key out of bounds")]
    Rsa,
    /// The operating system gave no random bytes.
    #[error("no random bytes")]
    Random,
}
