//! Ids from a seed.

/// A seeded source of ids (splitmix64). Not for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A prefix and so many characters of an alphabet.
    pub(crate) fn id(&mut self, prefix: &str, alphabet: &[u8], length: usize) -> String {
        let mut id = prefix.to_owned();
        for _ in 0..length {
            let index = usize::try_from(self.draw() % alphabet.len() as u64).unwrap_or(0);
            id.push(char::from(alphabet[index]));
        }
        id
    }

    /// An association's id: nineteen characters, as EKS makes them.
    pub(crate) fn association_id(&mut self) -> String {
        self.id("a-", b"abcdefghijklmnopqrstuvwxyz0123456789", 17)
    }

    /// An id of IAM, such as `ANPA...` for a policy.
    pub(crate) fn iam_id(&mut self, prefix: &str) -> String {
        self.id(prefix, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 17)
    }

    /// An id in the form of a UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let (high, low) = (self.draw(), self.draw());
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
    }
}
