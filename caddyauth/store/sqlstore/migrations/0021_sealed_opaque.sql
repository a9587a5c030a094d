-- Opaque access tokens hold their claims themselves, sealed: nothing is stored of them.

DROP TABLE opaque;
