//! The house rules as tests: `tests/arch`. Nothing here is linked to anything of ours; the rules read the tree.
