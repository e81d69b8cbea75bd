//! AWS's partitions: clouds of their own, each with its regions and its domain.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Its name, as ARNs have it.
    pub name: &'static str,
    /// With what the names of its regions begin; of the rest is `aws`.
    region_prefix: &'static str,
    /// The domain of its services.
    pub domain: &'static str,
}

/// As botocore lists them (`partitions.json`), which `tests/infra` holds this table to.
const PARTITIONS: [Partition; 8] = [
    Partition { name: "aws-cn", region_prefix: "cn-", domain: "amazonaws.com.cn" },
    Partition { name: "aws-us-gov", region_prefix: "us-gov-", domain: "amazonaws.com" },
    Partition { name: "aws-eusc", region_prefix: "eusc-", domain: "amazonaws.eu" },
    Partition { name: "aws-iso", region_prefix: "us-iso-", domain: "c2s.ic.gov" },
    Partition { name: "aws-iso-b", region_prefix: "us-isob-", domain: "sc2s.sgov.gov" },
    Partition { name: "aws-iso-e", region_prefix: "eu-isoe-", domain: "cloud.adc-e.uk" },
    Partition { name: "aws-iso-f", region_prefix: "us-isof-", domain: "csp.hci.ic.gov" },
    Partition { name: "aws", region_prefix: "", domain: "amazonaws.com" },
];

impl Partition {
    /// The partition of a region.
    #[must_use]
    pub fn of_region(region: &str) -> Self {
        let [.., rest] = PARTITIONS;
        let found = PARTITIONS.into_iter().find(|one| region.starts_with(one.region_prefix));
        found.unwrap_or(rest)
    }

    /// A partition by its name; one that is not known here is taken for one with AWS's usual domain.
    #[must_use]
    pub fn called(name: &str) -> Self {
        let [.., rest] = PARTITIONS;
        PARTITIONS.into_iter().find(|one| one.name == name).unwrap_or(rest)
    }
}
