// Codes of 32 activations, of their finer plane if they have one, and their head.
struct TokenUnit {
    first: vec4<u32>,
    second: vec4<u32>,
    fine_first: vec4<u32>,
    fine_second: vec4<u32>,
    head: vec4<f32>,
}
