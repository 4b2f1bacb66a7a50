package config

import (
	"log/slog"
	"maps"
	"net/netip"

	"gopkg.in/yaml.v3"
)

// keys is the table of every key that a file may have, and what is only known
// when the whole file has been read.
type keys struct {
	c           *Config
	ipv6, http2 bool
	role        string
	// provider is that of the resources, as the file says: for all roles, and by role.
	provider   string
	byRole     map[string]*string
	saltKey    []string // of APISIX 2, for keys of certificates
	mode       string   // apisix.proxy_mode
	streamOnly bool
	errorLevel slog.Level
}

const (
	noNginx  = "it sets up nginx, which is not used"
	noLua    = "there is no Lua virtual machine to set up"
	ownStore = "state is kept in the data folder"
)

func (k *keys) table() object {
	c := k.c
	k.ipv6, k.http2, k.mode = true, true, "http"
	c.Gateway.Listen[0].HTTP2, c.Gateway.TLS.Listen[0].HTTP2 = false, false // finish sets it
	return object{
		"data":                     text(&c.Data),
		"ephemeral":                boolean(&c.Ephemeral),
		"roles":                    roles(&c.Roles),
		"insecure_well_known_keys": boolean(&c.InsecureWellKnownKeys),
		"log": object{
			"level":  logLevel(&c.Log.Level),
			"format": oneOf(&c.Log.Format, "auto", "text", "json"),
		},
		"functions": k.functions(),
		"operator": object{
			"listen":   listener(&c.Operator.Listen),
			"key":      operatorKey(&c.Operator.Key),
			"key_file": text(&c.Operator.KeyFile),
		},
		"console": object{"listen": listeners(&c.Console.Listen, loopback(3232))},

		"apisix":         k.apisix(),
		"nginx_config":   k.nginx(),
		"deployment":     k.deployment(),
		"plugins":        list(&c.Gateway.Plugins, text),
		"plugin_attr":    k.pluginAttr(),
		"acme":           k.acme(),
		"stream_plugins": list(&c.Gateway.Stream.Plugins, text),
		"stream":         k.streams(),
		"xrpc":           k.xrpc(),
		"discovery":      k.discovery(),
		"etcd":           movedTo("deployment.etcd", k.etcd()),
		"graphql":        object{"max_size": size(&c.Gateway.MaxGraphql, 1)},
	}.
		noEffects("external plugin runners and WebAssembly plugins are not available", "ext-plugin", "wasm")
}

func (k *keys) functions() object {
	f := &k.c.Functions
	l := &f.Limits
	return object{
		"listen":               listeners(&f.Listen, loopback(3233)),
		"api_gateway_listen":   listeners(&f.APIGatewayListen, loopback(3234)),
		"api_gateway_url":      baseURL(&f.APIGatewayURL),
		"api_gateway_backends": list(&f.APIGatewayBackends, prefix),
		"users":                users(&f.Users),
		"master_key":           masterKey(&f.MasterKey),
		"master_key_file":      text(&f.MasterKeyFile),
		"memory":               autoSize(&f.Memory),
		"isolation":            oneOf(&f.Isolation, "auto", "require", "off"),
		"runtimes":             programs(&f.Runtimes, "nodejs", "python"),
		"node_modules":         text(&f.NodeModules),
		"web_sandbox":          boolean(&f.WebSandbox),
		"stem_cells":           integer(&f.StemCells, 0),
		"idle_timeout":         duration(&f.IdleTimeout),
		"retention": object{
			"max_age":  duration(&f.Retention.MaxAge),
			"max_size": size(&f.Retention.MaxSize, 0),
		},
		"limits": object{
			"invocations_per_minute": integer(&l.InvocationsPerMinute, 0),
			"concurrent_invocations": integer(&l.ConcurrentInvocations, 0),
			"fires_per_minute":       integer(&l.FiresPerMinute, 0),
			"sequence_length":        integer(&l.SequenceLength, 1),
			"cron_fields":            integer(&l.CronFields, 5),
			"min_action_timeout":     duration(&l.MinActionTimeout),
			"default_action_timeout": duration(&l.DefaultActionTimeout),
			"max_action_timeout":     duration(&l.MaxActionTimeout),
			"min_action_memory":      size(&l.MinActionMemory, 1<<20),
			"default_action_memory":  size(&l.DefaultActionMemory, 1<<20),
			"max_action_memory":      size(&l.MaxActionMemory, 1<<20),
			"min_action_logs":        size(&l.MinActionLogs, 1<<20),
			"default_action_logs":    size(&l.DefaultActionLogs, 1<<20),
			"max_action_logs":        size(&l.MaxActionLogs, 1<<20),
			"max_action_concurrency": integer(&l.MaxActionConcurrency, 1),
			"max_payload":            size(&l.MaxPayload, 1),
			"max_parameters":         size(&l.MaxParameters, 1),
			"max_code":               size(&l.MaxCode, 1),
			"max_result":             size(&l.MaxResult, 1),
			"max_blocking_wait":      duration(&l.MaxBlockingWait),
		},
	}
}

func (k *keys) apisix() object {
	g, a := &k.c.Gateway, &k.c.Admin
	everywhere := Listener{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 9080)}
	o := object{
		"node_listen":       listeners(&g.Listen, everywhere),
		"enable_admin":      boolean(&a.Enabled),
		"id":                text(&g.ID),
		"enable_control":    boolean(&g.Control.Enabled),
		"enable_ipv6":       boolean(&k.ipv6),
		"enable_http2":      boolean(&k.http2),
		"trusted_addresses": list(&g.TrustedAddresses, prefix),
		"control": object{
			"ip":   ipOf(&g.Control.Listen),
			"port": portOf(&g.Control.Listen),
		}.noEffects("the Control API has one router and no metrics dump", "router", "enable_metrics_dump"),
		"status": k.status(),
		"router": object{
			"http": oneOf(&g.Router, "radixtree_host_uri", "radixtree_uri", "radixtree_uri_with_parameter"),
			"ssl":  only("radixtree_sni"),
		},
		"ssl": k.ssl(),
		"data_encryption": object{
			"enable_encrypt_fields": boolean(&g.DataEncryption.Enabled),
			"keyring":               keyring(&g.DataEncryption.Keyring),
		},
		"lru":                  object{"secret": g.Secrets.keys()},
		"enable_server_tokens": boolean(&g.ServerTokens),
		"show_upstream_status_in_response_header": boolean(&g.ShowUpstreamStatus),
		"delete_uri_tail_slash":                   boolean(&g.DeleteURITailSlash),
		"normalize_uri_like_servlet":              boolean(&g.NormalizeURILikeServlet),
		"match_uri_encoded_slash":                 boolean(&g.MatchURIEncodedSlash),
		"dns_resolver":                            list(&g.Resolver.Servers, text),
		"dns_resolver_valid":                      duration(&g.Resolver.Valid),
		"resolver_timeout":                        duration(&g.Resolver.Timeout),
		"max_post_args_readable_size":             size(&g.MaxPostArgs, 1<<20),
	}
	for name, f := range (object{
		"admin_key":         adminKeys(&a.Keys),
		"allow_admin":       list(&a.AllowFrom, prefix),
		"enable_admin_cors": boolean(&a.CORS),
		"admin_listen":      object{"ip": ipOf(&a.Listen), "port": portOf(&a.Listen)},
		"admin_api_version": oneOf(&a.APIVersion, "v3", "v2", "default"),
		"https_admin":       boolean(&a.TLS.Enabled),
		"admin_api_mtls":    a.TLS.keys(),
	}) {
		o[name] = movedTo("deployment.admin."+name, f)
	}
	o["port_admin"] = movedTo("deployment.admin.admin_listen.port", portOf(&a.Listen))
	o["config_center"] = movedTo("deployment.role_data_plane.config_provider", provider(&k.provider))
	const oneProcess = "one process serves all connections"
	o["enable_reuseport"] = shipped("true", oneProcess)
	o["disable_upstream_healthcheck"] = boolean(&g.NoHealthChecks)
	o.noEffects(oneProcess, "enable_dev_mode", "events", "worker_startup_time_threshold")
	o.noEffects(noLua, "extra_lua_path", "extra_lua_cpath", "lua_module_hook")
	for _, name := range []string{"enable_resolv_search_opt", "enable_resolv_search_option"} {
		o[name] = boolean(&g.Resolver.Search)
	}
	k.addStreams(o)
	o.noEffects("answers are not cached", "proxy_cache")
	o.noEffects(ownStore, "disable_sync_configuration_during_start")
	return o.noEffects("it is not available", "tracing", "enable_batch_requests")
}

func (k *keys) ssl() object {
	t := &k.c.Gateway.TLS
	everywhere := Listener{Addr: netip.AddrPortFrom(netip.IPv4Unspecified(), 9443)}
	return object{
		"enable":                  boolean(&t.Enabled),
		"listen":                  listeners(&t.Listen, everywhere),
		"listen_port":             listeners(&t.Listen, everywhere),
		"ssl_protocols":           tlsVersions(t),
		"ssl_session_tickets":     boolean(&t.SessionTickets),
		"ssl_ciphers":             ciphers(&t.CipherSuites),
		"ssl_trusted_certificate": systemOrFile(&t.TrustedCertificate),
		"fallback_sni":            text(&t.FallbackSNI),
		"key_encrypt_salt":        movedTo("apisix.data_encryption.keyring", keyring(&k.saltKey)),
	}.
		noEffects("HTTP/2 is set by apisix.enable_http2", "enable_http2").
		noEffects("ssl_trusted_certificate is read as it is", "ssl_trusted_combined_path")
}

func (k *keys) nginx() object {
	g := &k.c.Gateway
	http := object{
		"keepalive_timeout":      duration(&g.KeepaliveTimeout),
		"client_header_timeout":  duration(&g.ClientHeaderTimeout),
		"client_body_timeout":    duration(&g.ClientBodyTimeout),
		"send_timeout":           duration(&g.SendTimeout),
		"client_max_body_size":   size(&g.MaxBodySize, 1),
		"keepalive_requests":     integer(&g.ClientLimits.Requests, 0),
		"underscores_in_headers": boolean(&g.UnderscoresInHeaders),
		"real_ip_header":         text(&g.RealIP.Header),
		"real_ip_recursive":      boolean(&g.RealIP.Recursive),
		"real_ip_from":           realIPFrom(&g.RealIP.From),
		"upstream": object{
			"keepalive":          integer(&g.Upstream.Keepalive, 0),
			"keepalive_requests": integer(&g.Upstream.KeepaliveRequests, 1),
			"keepalive_timeout":  duration(&g.Upstream.KeepaliveTimeout),
		},
		"charset": only("utf-8"),
	}
	maps.Copy(http, g.AccessLog.keys())
	http["variables_hash_max_size"], http["proxy_ssl_server_name"] = shipped("2048", noNginx), shipped("true", noNginx)
	http.noEffects(noLua, "lua_shared_dict", "custom_lua_shared_dict")

	o := object{"http": http, "worker_shutdown_timeout": duration(&k.c.DrainTimeout), "envs": g.Secrets.envs()}
	o["error_log_level"] = errorLogLevel(&k.errorLevel)
	o["error_log"] = shipped("logs/error.log", "logs go to standard error")
	o.noEffects(noLua, "meta")
	o["max_pending_timers"], o["max_running_timers"] = shipped("16384", noLua), shipped("4096", noLua)
	stream := g.Stream.AccessLog.keys()
	o["stream"] = stream.noEffects(noLua, "lua_shared_dict")
	o.noEffects("nginx text means nothing without nginx", "stream_configuration_snippet")
	o.noEffects("nginx text means nothing without nginx", "main_configuration_snippet", "http_configuration_snippet",
		"http_server_configuration_snippet", "http_server_location_configuration_snippet",
		"http_admin_configuration_snippet", "http_end_configuration_snippet")
	o["worker_processes"], o["worker_rlimit_nofile"] = workers(&k.c.Workers), shipped("20480", noNginx)
	http["large_client_header_buffers"] = headerBuffers(&g.ClientLimits)
	o["event"] = object{"worker_connections": integer(&g.ClientLimits.Connections, 0)}
	return o.noEffects(noNginx, "user", "enable_cpu_affinity")
}

func (k *keys) deployment() object {
	a := &k.c.Admin
	byRole := func(role string) field {
		if k.byRole == nil {
			k.byRole = map[string]*string{}
		}
		k.byRole[role] = new(string)
		return object{"config_provider": provider(k.byRole[role])}
	}
	return object{
		"role":               oneOf(&k.role, "traditional", "control_plane", "data_plane"),
		"config_provider":    provider(&k.provider),
		"role_traditional":   byRole("traditional"),
		"role_control_plane": byRole("control_plane"),
		"role_data_plane":    byRole("data_plane"),
		"admin": object{
			"admin_key":          adminKeys(&a.Keys),
			"admin_key_required": boolean(&a.KeyRequired),
			"allow_admin":        list(&a.AllowFrom, prefix),
			"enable_admin_cors":  boolean(&a.CORS),
			"admin_listen":       object{"ip": ipOf(&a.Listen), "port": portOf(&a.Listen)},
			"admin_api_version":  oneOf(&a.APIVersion, "v3", "v2", "default"),
			"https_admin":        boolean(&a.TLS.Enabled),
			"admin_api_mtls":     a.TLS.keys(),
			"enable_admin_ui":    shipped("true", "the console stands in its place, see console.listen"),
		},
		"etcd": k.etcd(),
	}
}

// keys are those of an access log among others.
func (l *AccessLog) keys() object {
	return object{
		"enable_access_log":        boolean(&l.Enabled),
		"access_log":               text(&l.Path),
		"access_log_buffer":        size(&l.Buffer, 1),
		"access_log_format":        text(&l.Format),
		"access_log_format_escape": oneOf(&l.Escape, "default", "json", "none"),
	}
}

// status takes where the status API listens; that the key is there switches it on.
func (k *keys) status() field {
	st := &k.c.Gateway.Status
	return fieldFunc(func(d *decoder, key string, n *yaml.Node) {
		st.Enabled = true
		object{"ip": ipOf(&st.Listen), "port": portOf(&st.Listen)}.decode(d, key, n)
	})
}
