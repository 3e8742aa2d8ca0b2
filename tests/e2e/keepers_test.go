package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	consulapi "github.com/hashicorp/consul/api"
	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/jackc/pgx/v5"
	"go.mongodb.org/mongo-driver/bson"
	"go.mongodb.org/mongo-driver/mongo"
	"go.mongodb.org/mongo-driver/mongo/options"
)

// keeper writes a piece of data to one server, acknowledged, and reads it back.
type keeper struct {
	put func(ctx context.Context, id string) error
	get func(ctx context.Context, id string) error // nil error: it is there
}

// keepers has one for every server, by its name in `souk status`.
func keepers(t *testing.T) map[string]keeper {
	t.Helper()
	return map[string]keeper{
		"consul": consulKeeper(), "vault": vaultKeeper(), "nomad-server": nomadKeeper(), "nomad-client": nomadKeeper(),
		"postgres": postgresKeeper(), "kafka": kafkaKeeper(), "mongo": mongoKeeper(),
		"elasticsearch": elasticsearchKeeper(), "prometheus": prometheusKeeper(),
	}
}

func consulKeeper() keeper {
	return keeper{
		put: func(ctx context.Context, id string) error {
			c, err := env.Consul()
			if err != nil {
				return err
			}
			_, err = c.KV().Put(&consulapi.KVPair{Key: "test/" + id, Value: []byte(id)}, (&consulapi.WriteOptions{}).WithContext(ctx))
			return err
		},
		get: func(ctx context.Context, id string) error {
			c, err := env.Consul()
			if err != nil {
				return err
			}
			pair, _, err := c.KV().Get("test/"+id, (&consulapi.QueryOptions{}).WithContext(ctx))
			if err == nil && (pair == nil || string(pair.Value) != id) {
				err = errors.New("the key is gone")
			}
			return err
		},
	}
}

func vaultKeeper() keeper {
	return keeper{
		put: func(ctx context.Context, id string) error {
			c, err := env.Vault()
			if err != nil {
				return err
			}
			_, err = c.KVv2("secret").Put(ctx, "test/"+id, map[string]any{"id": id})
			return err
		},
		get: func(ctx context.Context, id string) error {
			c, err := env.Vault()
			if err != nil {
				return err
			}
			s, err := c.KVv2("secret").Get(ctx, "test/"+id)
			if err == nil && s.Data["id"] != id {
				err = errors.New("the secret differs")
			}
			return err
		},
	}
}

func nomadKeeper() keeper {
	return keeper{
		put: func(ctx context.Context, id string) error {
			c, err := env.Nomad()
			if err != nil {
				return err
			}
			v := nomadapi.NewVariable("test/" + id)
			v.Namespace, v.Items = "default", map[string]string{"id": id}
			_, _, err = c.Variables().Create(v, (&nomadapi.WriteOptions{Namespace: "default"}).WithContext(ctx))
			return err
		},
		get: func(ctx context.Context, id string) error {
			c, err := env.Nomad()
			if err != nil {
				return err
			}
			_, _, err = c.Variables().Read("test/"+id, (&nomadapi.QueryOptions{Namespace: "default"}).WithContext(ctx))
			return err
		},
	}
}

// withPostgres connects with credentials that Vault makes, as a service does.
func withPostgres(ctx context.Context, f func(*pgx.Conn) error) error {
	v, err := env.Vault()
	if err != nil {
		return err
	}
	creds, err := v.Logical().ReadWithContext(ctx, "database/creds/notifications")
	if err != nil {
		return err
	}
	if creds == nil {
		return errors.New("no credentials from Vault")
	}
	config, err := pgx.ParseConfig(fmt.Sprintf("postgres://127.0.0.1:%d/notifications?sslmode=disable", env.Ports.Postgres))
	if err != nil {
		return err
	}
	config.User, config.Password = creds.Data["username"].(string), creds.Data["password"].(string)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return f(conn)
}

func postgresKeeper() keeper {
	return keeper{
		put: func(ctx context.Context, id string) error {
			return withPostgres(ctx, func(conn *pgx.Conn) error {
				if _, err := conn.Exec(ctx, `create table if not exists kept (id text primary key)`); err != nil {
					return err
				}
				_, err := conn.Exec(ctx, `insert into kept values ($1)`, id)
				return err
			})
		},
		get: func(ctx context.Context, id string) error {
			return withPostgres(ctx, func(conn *pgx.Conn) error {
				return conn.QueryRow(ctx, `select id from kept where id = $1`, id).Scan(&id)
			})
		},
	}
}

func kafkaKeeper() keeper {
	brokers := fmt.Sprintf("127.0.0.1:%d", env.Ports.Kafka)
	return keeper{
		put: func(ctx context.Context, id string) error {
			admin, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": brokers})
			if err != nil {
				return err
			}
			defer admin.Close()
			results, err := admin.CreateTopics(ctx, []kafka.TopicSpecification{{Topic: id, NumPartitions: 1, ReplicationFactor: 1}})
			if err != nil {
				return err
			}
			if code := results[0].Error.Code(); code != kafka.ErrNoError {
				return results[0].Error
			}
			p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": brokers, "acks": "all", "enable.idempotence": true})
			if err != nil {
				return err
			}
			defer p.Close()
			delivered := make(chan kafka.Event, 1)
			err = p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &id, Partition: 0}, Value: []byte(id)}, delivered)
			if err != nil {
				return err
			}
			select {
			case e := <-delivered:
				return e.(*kafka.Message).TopicPartition.Error
			case <-ctx.Done():
				return ctx.Err()
			}
		},
		get: func(ctx context.Context, id string) error {
			c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": brokers, "group.id": "kept"})
			if err != nil {
				return err
			}
			defer c.Close()
			if err := c.Assign([]kafka.TopicPartition{{Topic: &id, Partition: 0, Offset: kafka.OffsetBeginning}}); err != nil {
				return err
			}
			msg, err := c.ReadMessage(8 * time.Second)
			if err == nil && string(msg.Value) != id {
				err = fmt.Errorf("the message is %q", msg.Value)
			}
			return err
		},
	}
}

func mongoKeeper() keeper {
	with := func(ctx context.Context, f func(*mongo.Collection) error) error {
		uri := fmt.Sprintf("mongodb://127.0.0.1:%d/?serverSelectionTimeoutMS=5000", env.Ports.Mongo)
		c, err := mongo.Connect(ctx, options.Client().ApplyURI(uri))
		if err != nil {
			return err
		}
		defer func() { _ = c.Disconnect(context.WithoutCancel(ctx)) }()
		return f(c.Database("test").Collection("kept"))
	}
	return keeper{
		put: func(ctx context.Context, id string) error {
			return with(ctx, func(c *mongo.Collection) error {
				_, err := c.InsertOne(ctx, bson.M{"_id": id})
				return err
			})
		},
		get: func(ctx context.Context, id string) error {
			return with(ctx, func(c *mongo.Collection) error { return c.FindOne(ctx, bson.M{"_id": id}).Err() })
		},
	}
}

func elasticsearchKeeper() keeper {
	at := func(id string) string {
		return fmt.Sprintf("http://127.0.0.1:%d/kept/_doc/%s", env.Ports.Elasticsearch, id)
	}
	return keeper{
		put: func(ctx context.Context, id string) error {
			_, err := call(ctx, http.MethodPut, at(id), []byte(`{"id":"`+id+`"}`))
			return err
		},
		get: func(ctx context.Context, id string) error {
			_, err := call(ctx, http.MethodGet, at(id), nil)
			return err
		},
	}
}

// prometheusKeeper writes nothing itself: what was scraped must still be there.
func prometheusKeeper() keeper {
	var asked time.Time
	query := func(ctx context.Context) error {
		// Up to now is what it has in memory only, which its write-ahead log must bring back.
		q := url.Values{"query": {`count(max_over_time(up[10s]) == 1) > 0`}, "time": {strconv.FormatInt(asked.Unix(), 10)}}
		raw, err := call(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/api/v1/query?%s", env.Ports.Prometheus, q.Encode()), nil)
		if err != nil {
			return err
		}
		var answer struct {
			Data struct{ Result []json.RawMessage }
		}
		if err := json.Unmarshal(raw, &answer); err != nil {
			return err
		}
		if len(answer.Data.Result) == 0 {
			return errors.New("no samples of that time")
		}
		return nil
	}
	return keeper{
		put: func(ctx context.Context, _ string) error { asked = time.Now(); return query(ctx) },
		get: func(ctx context.Context, _ string) error { return query(ctx) },
	}
}

func call(ctx context.Context, method, address string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.200s", method, address, resp.Status, raw)
	}
	return raw, err
}
