// A candidate: stands for election until it leads, leads until Ctrl-C, and then gives the election back. Over HTTP, with
// Go's standard library alone.
//
//	go run leader.go NAME [ELECTION] [URL]
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	term       = 3 * time.Second
	resolution = 10 * time.Millisecond // of now()
)

// answer has the fields of all answers that are asked for here.
type answer struct {
	Elected   bool   `json:"elected"`
	Leader    string `json:"leader"`
	Token     string `json:"token"`
	ExpiresIn int64  `json:"expires_in"` // milliseconds
	Message   string `json:"message"`    // of an error
}

type candidate struct {
	name  string
	route string // of the election
}

// errOver: the leadership is over, and somebody else may lead.
var errOver = errors.New("the leadership is over")

// now is a time that never goes back and counts a suspended machine's time, which Go's own clock does not.
func now() time.Duration {
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		panic(err)
	}
	var seconds float64
	if _, err := fmt.Sscan(string(text), &seconds); err != nil {
		panic(err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// ask sends a request, and says until when its answer is good: validity counts from before it was sent.
func (c *candidate) ask(ctx context.Context, method string, request map[string]any) (answer, time.Duration, error) {
	var a answer
	body, err := json.Marshal(request)
	if err != nil {
		return a, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, c.route, bytes.NewReader(body))
	if err != nil {
		return a, 0, err
	}
	sent := now()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return a, 0, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return a, 0, err
	}
	switch response.StatusCode {
	case http.StatusOK:
		return a, sent + time.Duration(a.ExpiresIn)*time.Millisecond - resolution, nil
	case http.StatusNotFound, http.StatusConflict:
		return a, 0, errOver
	}
	return a, 0, errors.New(a.Message)
}

// stand campaigns until elected; it returns the token, and until when the leadership may be believed in.
func (c *candidate) stand(ctx context.Context) (string, time.Duration) {
	told := ""
	for ctx.Err() == nil {
		a, until, err := c.ask(ctx, http.MethodPost, map[string]any{"candidate": c.name, "term": term.Milliseconds()})
		if err == nil && a.Elected {
			return a.Token, until
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, err)
		}
		if err == nil && a.Leader != told {
			told = a.Leader
			fmt.Println(told, "leads")
		}
		sleep(ctx, term/6)
	}
	return "", 0
}

// lead extends every third of the term; it returns when the leadership is lost, or ctx is done.
func (c *candidate) lead(ctx context.Context, token string, until time.Duration) {
	for ctx.Err() == nil && now() < until {
		sleep(ctx, term/3)
		within, cancel := context.WithTimeout(ctx, until-now())
		_, extended, err := c.ask(within, http.MethodPatch, map[string]any{"leader": c.name, "term": term.Milliseconds(), "token": token})
		cancel()
		if errors.Is(err, errOver) {
			return
		}
		if err == nil { // else: no answer, or no decision: try again as long as the validity lasts
			until = extended
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: leader NAME [ELECTION] [URL]")
		os.Exit(2)
	}
	arguments := append(os.Args[1:], "", "")
	election, agent := arguments[1], arguments[2]
	if election == "" {
		election = "tour"
	}
	if agent == "" {
		agent = "http://localhost:8080"
	}
	c := &candidate{arguments[0], agent + "/election/" + url.PathEscape(election)}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for ctx.Err() == nil {
		token, until := c.stand(ctx)
		if token == "" {
			return
		}
		fmt.Printf("I, %s, lead, with token %s\n", c.name, token)
		c.lead(ctx, token, until)
		fmt.Println("I lead no more")
		if ctx.Err() != nil {
			_, _, err := c.ask(context.Background(), http.MethodDelete, map[string]any{"leader": c.name, "token": token})
			if err == nil {
				fmt.Println("resigned")
			}
		}
	}
}
