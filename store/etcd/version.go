package etcd

import "context"

// Version is that of the etcd, such as 3.5.16.
func (s *Source) Version(ctx context.Context) (string, error) {
	kept, err := s.open()
	if err != nil {
		return "", err
	}
	ctx, cancel, err := kept.bounded(ctx)
	if err != nil {
		return "", err
	}
	defer cancel()
	r, err := kept.client.Status(ctx, kept.cfg.Endpoints[0])
	if err != nil {
		return "", kept.failure(ctx, err)
	}
	return r.Version, nil
}
