// The agent of franz-go. See README.md in the folder above.
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

type record struct {
	Key       *string           `json:"key"`
	Value     *string           `json:"value"`
	Headers   map[string]string `json:"headers"`
	Partition *int32            `json:"partition,omitempty"`
	Offset    int64             `json:"offset"`
	Timestamp int64             `json:"timestamp"`
}

type request struct {
	ID         int
	Op         string
	Topic      string
	Group      string
	Codec      string
	Partitions int32
	Partition  int32
	Offset     int64
	Count      int
	From       json.RawMessage
	Config     map[string]*string
	Records    []record
}

type answer struct {
	ID    int    `json:"id"`
	Value any    `json:"value"`
	Error string `json:"error,omitempty"`
}

var (
	ctx       = context.Background()
	seeds     = kgo.SeedBrokers(os.Getenv("OTTLA_BOOTSTRAP_SERVERS"))
	writing   sync.Mutex
	admin     *kadm.Client
	producers = map[string]*kgo.Client{}
	member    *kgo.Client
	leaving   = make(chan struct{})
	left      = make(chan struct{})
	codecs    = map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
)

func tell(message any) {
	writing.Lock()
	defer writing.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(message); err != nil {
		panic(err)
	}
}

func main() {
	client, err := kgo.NewClient(seeds)
	if err != nil {
		panic(err)
	}
	admin = kadm.NewClient(client)
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var q request
		if err := json.Unmarshal(line, &q); err != nil {
			panic(err)
		}
		value, err := operate(q)
		if err != nil {
			tell(answer{ID: q.ID, Error: err.Error()})
		} else {
			tell(answer{ID: q.ID, Value: value})
		}
	}
}

func operate(q request) (any, error) {
	switch q.Op {
	case "createTopic":
		created, err := admin.CreateTopic(ctx, q.Partitions, 1, q.Config, q.Topic)
		return nil, either(err, created.Err)
	case "describeTopic":
		return describeTopic(q.Topic)
	case "listTopics":
		topics, err := admin.ListTopics(ctx)
		return topics.Names(), err
	case "alterTopic":
		return nil, alterTopic(q)
	case "deleteTopic":
		deleted, err := admin.DeleteTopic(ctx, q.Topic)
		return nil, either(err, deleted.Err)
	case "produce":
		return nil, produce(q)
	case "consume":
		records := []record{}
		err := read(q, func(r *kgo.Record) { records = append(records, recordOf(r)) })
		return records, err
	case "produceMany":
		return nil, produceMany(q)
	case "checksum":
		digest := sha256.New()
		q.From = json.RawMessage(`"beginning"`)
		err := read(q, func(r *kgo.Record) { digest.Write(append(r.Value, '\n')) })
		return hex.EncodeToString(digest.Sum(nil)), err
	case "join":
		return nil, join(q)
	case "leave":
		close(leaving)
		<-left
		return nil, nil
	case "lag":
		lags, err := admin.Lag(ctx, q.Group)
		if err != nil {
			return nil, err
		}
		group := lags[q.Group]
		return group.Lag.Total(), group.Error()
	case "deleteOffsets":
		topics, err := admin.ListTopics(ctx, q.Topic)
		if err != nil {
			return nil, err
		}
		deleted, err := admin.DeleteOffsets(ctx, q.Group, topics.TopicsSet())
		return nil, either(err, deleted.Error())
	case "deleteRecords":
		offsets := kadm.Offsets{}
		offsets.AddOffset(q.Topic, q.Partition, q.Offset, -1)
		deleted, err := admin.DeleteRecords(ctx, offsets)
		return nil, either(err, deleted.Error())
	}
	return nil, fmt.Errorf("no operation %s", q.Op)
}

func either(errors ...error) error {
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}

func describeTopic(topic string) (any, error) {
	topics, err := admin.ListTopics(ctx, topic)
	if err != nil {
		return nil, err
	}
	described, err := admin.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, err
	}
	config := map[string]string{}
	for _, entry := range described[0].Configs {
		config[entry.Key] = entry.MaybeValue()
	}
	return map[string]any{"partitions": len(topics[topic].Partitions), "config": config}, described[0].Err
}

func alterTopic(q request) error {
	if q.Partitions > 0 {
		updated, err := admin.UpdatePartitions(ctx, int(q.Partitions), q.Topic)
		if err := either(err, updated.Error()); err != nil {
			return err
		}
	}
	if q.Config == nil {
		return nil
	}
	configs := []kadm.AlterConfig{}
	for name, value := range q.Config {
		configs = append(configs, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: value})
	}
	altered, err := admin.AlterTopicConfigs(ctx, configs, q.Topic)
	if err != nil {
		return err
	}
	return altered[0].Err
}

func producer(codec string) (*kgo.Client, error) {
	if codec == "" {
		codec = "none"
	}
	if producers[codec] == nil {
		own, err := kgo.NewClient(seeds, kgo.ProducerBatchCompression(codecs[codec]), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			return nil, err
		}
		producers[codec] = own
	}
	return producers[codec], nil
}

func produce(q request) error {
	own, err := producer(q.Codec)
	if err != nil {
		return err
	}
	records := []*kgo.Record{}
	for _, r := range q.Records {
		sent := &kgo.Record{Topic: q.Topic, Key: bytesOf(r.Key), Value: bytesOf(r.Value)}
		for name, text := range r.Headers {
			sent.Headers = append(sent.Headers, kgo.RecordHeader{Key: name, Value: []byte(text)})
		}
		if r.Partition != nil {
			sent.Partition = *r.Partition
		}
		if r.Timestamp != 0 {
			sent.Timestamp = time.UnixMilli(r.Timestamp)
		}
		records = append(records, sent)
	}
	return own.ProduceSync(ctx, records...).FirstErr()
}

func produceMany(q request) error {
	own, err := producer("none")
	if err != nil {
		return err
	}
	var failed error
	var mutex sync.Mutex
	for i := 0; i < q.Count; i++ {
		value := fmt.Sprintf("%d:%s", i, strings.Repeat("x", i%100))
		own.Produce(ctx, &kgo.Record{Topic: q.Topic, Value: []byte(value)}, func(_ *kgo.Record, err error) {
			mutex.Lock()
			defer mutex.Unlock()
			failed = either(failed, err)
		})
	}
	return either(own.Flush(ctx), failed)
}

func startOf(q request) (kgo.Offset, error) {
	switch text := string(q.From); text {
	case `"beginning"`:
		return kgo.NewOffset().AtStart(), nil
	case `"end"`:
		return kgo.NewOffset().AtEnd(), nil
	}
	var at struct{ Timestamp int64 }
	if json.Unmarshal(q.From, &at) == nil {
		return kgo.NewOffset().AfterMilli(at.Timestamp), nil
	}
	var offset int64
	err := json.Unmarshal(q.From, &offset)
	return kgo.NewOffset().At(offset), err
}

func read(q request, onRecord func(*kgo.Record)) error {
	start, err := startOf(q)
	if err != nil {
		return err
	}
	places := map[string]map[int32]kgo.Offset{q.Topic: {q.Partition: start}}
	consumer, err := kgo.NewClient(seeds, kgo.ConsumePartitions(places), kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		return err
	}
	defer consumer.Close()
	for seen := 0; seen < q.Count; {
		fetches := consumer.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			if seen < q.Count {
				onRecord(r)
				seen++
			}
		}
	}
	return nil
}

func join(q request) error {
	var err error
	member, err = kgo.NewClient(seeds, kgo.ConsumerGroup(q.Group), kgo.ConsumeTopics(q.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(500*time.Millisecond), kgo.FetchMaxWait(500*time.Millisecond), kgo.DisableAutoCommit())
	if err != nil {
		return err
	}
	polling, stop := context.WithCancel(ctx)
	go func() {
		<-leaving
		stop()
	}()
	go func() {
		for polling.Err() == nil {
			// Errors are told while the broker is away, and pass.
			member.PollFetches(polling).EachRecord(func(r *kgo.Record) { tell(map[string]any{"record": recordOf(r)}) })
		}
		// A member that has not joined again since the broker was away cannot commit: its messages come again.
		if err := member.CommitUncommittedOffsets(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		member.Close()
		close(left)
	}()
	return nil
}

func bytesOf(text *string) []byte {
	if text == nil {
		return nil
	}
	return []byte(*text)
}

func textOf(bytes []byte) *string {
	if bytes == nil {
		return nil
	}
	text := string(bytes)
	return &text
}

func recordOf(r *kgo.Record) record {
	headers := map[string]string{}
	for _, header := range r.Headers {
		headers[header.Key] = string(header.Value)
	}
	return record{
		Key: textOf(r.Key), Value: textOf(r.Value), Headers: headers,
		Partition: &r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UnixMilli(),
	}
}
