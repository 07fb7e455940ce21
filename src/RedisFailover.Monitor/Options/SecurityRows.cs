using System.Collections.Immutable;
using static RedisFailover.Monitor.Options.SettingKinds;

namespace RedisFailover.Monitor.Options;

/// <summary>The rows of <see cref="Settings"/> about certificates and rights; <see cref="SecuritySettings"/> reads them together.</summary>
internal static class SecurityRows
{
    private const string Pem = "a readable PEM file", Switch = "on, off", Ids = "scheme:id, several separated by ;";

    internal static ImmutableArray<Setting> All { get; } =
    [
        Row("tls", "on|off", Switch, "TLS to Redis; --tls alone is --tls on.", "off; on where one of tls-... is given"),
        Row("tls-ca-file", "pem", Pem, "The authorities that vouch for Redis' certificates. Read again when it changes.", "the system's"),
        Row("tls-cert-file", "pem", Pem, "The certificate that the monitor shows to Redis. Read again when it changes.", "none"),
        Row("tls-key-file", "pem", Pem, "Its private key. Read again when it changes.", "in tls-cert-file"),
        Row("tls-name", "name", "a host name, or * for any",
            "The name in Redis' certificates, where it is not the node's host. *, with tls-ca-file alone: "
            + "whatever the name, the authority counts.", "the node's host"),
        Row("zk-tls", "on|off", Switch, "TLS to ZooKeeper; --zk-tls alone is --zk-tls on.", "off; on where one of zk-tls-... is given"),
        Row("zk-tls-ca-file", "pem", Pem, "The authorities that vouch for ZooKeeper's certificates. Read again at each connection.",
            "the system's"),
        Row("zk-tls-cert-file", "pem", Pem, "The certificate that the monitor shows to ZooKeeper. Read again at each connection.", "none"),
        Row("zk-tls-key-file", "pem", Pem, "Its private key. Read again at each connection.", "in zk-tls-cert-file"),
        Row("zk-tls-name", "name", "a host name, or * for any",
            "The name in ZooKeeper's certificates, where it is not the server's host. *: as for tls-name.", "the server's host"),
        Row("zk-auth-file", "file", "a readable file",
            "The monitors' user:password for ZooKeeper (digest), the same for all of them, one a line; two during a rotation. "
            + "With it the znodes get access rights (docs/security.md). Read again within a second.", "none: the znodes are open to all"),
        Row("zk-readers", "ids", Ids, "Who may read the znodes (clients), as digest:user:hash.", "world:anyone"),
        Row("zk-operators", "ids", Ids, "Who may make requests (the tool), as digest:user:hash.", "the monitors alone"),
    ];

    private static Setting Row(string name, string value, string allowed, string description, string otherwise)
        => Text(name, value, allowed, (options, _) => options) with { Description = description, DefaultText = otherwise };
}
