// Package cache keeps stored responses (RFC 9111 §3): it looks them up, stores
// and freshens them, and owns the tiers that hold their bytes.
//
// A stored response ([Stored]) never changes; freshening makes a new one that
// shares the body. All responses of one primary key hang on one [Entry], whose
// content is swapped under its lock and read without one. An entry is found by
// a hash, and its full key is compared on every find.
//
// A body ([Body]) is one type while a flight fills it and when a hit reads it.
//
// Memory is bounded by two books: the RAM tier charges what is stored, and a
// [Budget] what is in RAM beside it (flights, and bodies that slow readers hold
// although the tier has let them go).
package cache
