from shared.seeds import derive_seed, unit_hash


def test_names_are_kept_apart() -> None:
    seeds = {
        derive_seed(1, "ab", "c"),
        derive_seed(1, "a", "bc"),
        derive_seed(1, "abc"),
        derive_seed(2, "abc"),
        derive_seed(1, "abc", 1),
    }
    assert len(seeds) == 5


def test_a_seed_is_the_same_on_every_machine() -> None:
    # First 8 bytes of blake2b(b"7\x1ftrain\x1fsite_1\x1f3"), without the lowest bit.
    assert derive_seed(7, "train", "site_1", 3) == derive_seed(7, "train", "site_1", "3")
    assert 0 <= derive_seed(7, "train", "site_1", 3) < 2**63


def test_unit_hash_is_uniform() -> None:
    values = [unit_hash(0, "split", index) for index in range(4000)]
    assert min(values) >= 0
    assert max(values) < 1
    # The standard error of the mean of 4000 uniform draws is 0.0046.
    assert abs(sum(values) / len(values) - 0.5) < 0.02
