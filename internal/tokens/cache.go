package tokens

import (
	"crypto/sha256"

	lru "github.com/hashicorp/golang-lru/v2"
)

// digest is the SHA-256 of a token. The token itself is not kept.
type digest = [sha256.Size]byte

// cache remembers whom verified tokens speak for. It is split so that requests do not queue
// for one lock. An entry says nothing about expiry and revocation: whoever finds one asks.
type cache struct {
	shards [16]*lru.Cache[digest, *Principal]
}

func newCache(size int) (*cache, error) {
	c := &cache{}
	for i := range c.shards {
		shard, err := lru.New[digest, *Principal](max(1, size/len(c.shards)))
		if err != nil {
			return nil, err
		}
		c.shards[i] = shard
	}
	return c, nil
}

func (c *cache) shard(d *digest) *lru.Cache[digest, *Principal] { return c.shards[d[0]%16] }

func (c *cache) get(d *digest) *Principal {
	p, _ := c.shard(d).Get(*d)
	return p
}

func (c *cache) put(d *digest, p *Principal) { c.shard(d).Add(*d, p) }

func (c *cache) drop(d *digest) { c.shard(d).Remove(*d) }

func (c *cache) len() (n int) {
	for _, s := range c.shards {
		n += s.Len()
	}
	return n
}
