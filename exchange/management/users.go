package management

import (
	"context"
	"net/http"
)

// Users are the names of all users of the broker. Only an administrator may ask.
func (m *Client) Users(ctx context.Context) (names []string, err error) {
	var found []struct {
		Name string `json:"name"`
	}
	if err := m.call(ctx, http.MethodGet, "/api/users?columns=name", nil, &found); err != nil {
		return nil, err
	}
	for _, u := range found {
		names = append(names, u.Name)
	}
	return names, nil
}
