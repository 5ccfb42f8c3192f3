// Attention of few query tokens that see keys of one chunk only, heads of 128 values of one type: what attention_decode,
// attention_combine and ops/quantise (or those for f16) do one after the other.
//
// sequences, tables, queries, mults, k_pool, v_pool: as in attention_decode, attention_decode_f16
// sinks: one logit per query head (params.sinks = 1), else not read
// codes, heads: as matmul/matvec reads them, 128 values per row
// grid: 128 invocations per (sequence, K/V head, ROWS rows)
// class: Bounded, for the rounding (f16: for everything)
// twin: crates/turbo-cpu/src/attention/attention_short.rs

#ifdef HALVES
#import attention_decode_128_f16
#else
#import attention_decode_128
#endif
