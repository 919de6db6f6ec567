// Package deploy holds no code. The packages below it put the fleet to work: local servers, demo, chaos runs,
// benchmarks, images. Its tests check the layout of the whole repository: which package may import which, and how
// large one may be.
package deploy
