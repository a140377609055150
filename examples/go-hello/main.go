// A small service on chi. SIGTERM: no new connections, running requests are finished, then the end.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-chi/chi/v5"
)

const greeting = "Hello from go-hello, version 1\n"

func routes() http.Handler {
	router := chi.NewRouter()
	router.Get("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, greeting) })
	router.Get("/healthz", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })
	return router
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	server := &http.Server{Addr: ":" + port, Handler: routes(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		log.Printf("listening on port %s", port)
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	<-ended.Done()
	limit, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := server.Shutdown(limit); err != nil {
		log.Fatal(err)
	}
	log.Print("stopped")
}
