"""Guests that lie to their host on demand, and what must become of each lie.

`claims` are lies about pointers and lengths, told by the guest in `pointers` and judged in `verdicts`;
`records` are lies in records, told by the guest in `typed`; `own` are such of the target's schema. In the
`scenes` the guests tell the truth while what they share with the host changes, and `fetches` says what the
host must see. `abi-conformity` and `double-fetch` run them.
"""
