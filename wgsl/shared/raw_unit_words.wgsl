// The words of a unit as they lie in memory; not all of them are used by every type.
struct RawUnit {
    low: vec4<u32>,
    low_too: vec4<u32>,
    high: vec2<u32>,
    scales: vec2<u32>,
}
