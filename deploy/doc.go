// Package deploy holds nothing itself. Below it is what puts the fleet to work: local servers, demo data, benchmarks, images. Its tests hold
// the whole repository to the plan of the house: which room may import which.
package deploy
