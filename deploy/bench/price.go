package bench

import "fmt"

// Price is what one event, or one delivery of it to a worker, costs: processor time in microseconds, by part, and bytes
// of the database's write-ahead log. Zero where it is unknown.
type Price struct {
	Client   float64 `json:"clientMicros"`
	Broker   float64 `json:"brokerMicros"`
	Database float64 `json:"databaseMicros"`
	WALBytes float64 `json:"walBytes"`
}

// event is the price of one event of the run.
func (t Throughput) event() Price {
	if t.PerSecond == 0 {
		return Price{}
	}
	each := func(cores float64) float64 { return cores / t.PerSecond * 1e6 }
	return Price{Client: each(t.Cores.Client), Broker: each(t.Cores.Broker), Database: each(t.Cores.Database), WALBytes: t.WALBytes}
}

// delivery is the price of one delivery: an event is handled once, except in the whole fleet.
func (t Throughput) delivery() Price {
	p, times := t.event(), max(1, t.Handled)
	return Price{Client: p.Client / times, Broker: p.Broker / times, Database: p.Database / times, WALBytes: p.WALBytes / times}
}

func (p Price) cpu() string { return fmt.Sprintf("%.0f/%.0f/%.0f", p.Client, p.Broker, p.Database) }

func (p Price) total() float64 { return p.Client + p.Broker + p.Database }

// Prices are the medians of a stage's runs.
type Prices struct {
	Event    Price `json:"event"`
	Delivery Price `json:"delivery"`
}

func (r Report) prices(of func(Round) Throughput) Prices {
	part := func(price func(Throughput) Price) Price {
		median := func(of2 func(Price) float64) float64 {
			return r.median(func(r Round) float64 { return of2(price(of(r))) })
		}
		return Price{
			Client: median(func(p Price) float64 { return p.Client }), Broker: median(func(p Price) float64 { return p.Broker }),
			Database: median(func(p Price) float64 { return p.Database }), WALBytes: median(func(p Price) float64 { return p.WALBytes }),
		}
	}
	return Prices{Event: part(Throughput.event), Delivery: part(Throughput.delivery)}
}
