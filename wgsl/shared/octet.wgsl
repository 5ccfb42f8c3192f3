// The codes of an octet (eight values) in nibbles, value j in nibble j.
//
// Words: TYPE 1 q4_0, 2 to 4 turbo2 to turbo4, POOL the binding; import it with TYPE=t POOL=p octet=NAME per side.

#import spread

// `at`: first word of the token; `high`: words of the plane of low bits, which the high bits of turbo3 follow.
fn octet(at: u32, i: u32, high: u32) -> u32 {
#if TYPE == 2
    return spread_pairs((POOL[at + (i >> 1u)] >> ((i & 1u) * 16u)) & 0xffffu);
#else
#if TYPE == 3
    let low = spread_pairs((POOL[at + (i >> 1u)] >> ((i & 1u) * 16u)) & 0xffffu);
    return low | spread_bits((POOL[at + high + (i >> 2u)] >> ((i & 3u) * 8u)) & 0xffu);
#else
    return POOL[at + i];
#endif
#endif
}
