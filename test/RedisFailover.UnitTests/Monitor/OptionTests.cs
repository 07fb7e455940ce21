using System.Collections;
using NUnit.Framework;
using RedisFailover.Monitor.Options;

namespace RedisFailover.UnitTests.Monitor;

[TestFixture]
public sealed class OptionTests
{
    private static readonly string[] Least = ["--nodes", "a:1,b:2", "--zkservers", "zk1,zk2:2182"];

    [TestCase("--max-failures 2 --max-failures 3", "--max-failures is given 2 times; allowed: once.")]
    [TestCase("--tls --tls off", "--tls is given 2 times; allowed: once.")]
    public void An_option_that_is_given_twice_is_refused(string arguments, string told)
        => Assert.That(() => OptionSources.Read(arguments.Split(' '), new Hashtable(), out _),
            Throws.TypeOf<OptionException>().With.Message.StartsWith(told));

    [Test]
    public void The_tool_knows_which_settings_can_be_changed_for_all_monitors()
        => Assert.That(ClusterSettings.Names, Is.EqualTo(Settings.All.Where(s => s.Scope == Scope.Cluster).Select(s => s.Name)
            .Except(["nodes", "never-promote", "session-timeout", "lease", "znode-path"])));

    [Test]
    public void The_two_that_are_required_are_enough_and_the_rest_has_the_documented_defaults()
    {
        MonitorOptions options = Read(Least);

        Assert.Multiple(() =>
        {
            Assert.That(options.Nodes.Select(n => n.ToString()), Is.EqualTo(["a:1", "b:2"]));
            Assert.That(options.ZooKeeper.ToString(), Is.EqualTo("zk1:2181,zk2:2182"));
            Assert.That(options.ZnodePath, Is.EqualTo("/redis_failover"));
            Assert.That(options.MaxFailures, Is.EqualTo(3));
            Assert.That(options.ProbeTimeout, Is.EqualTo(TimeSpan.FromSeconds(1)));
            Assert.That(options.SessionTimeout, Is.EqualTo(TimeSpan.FromSeconds(4)));
            Assert.That(options.NodeStrategy, Is.EqualTo(NodeStrategy.Majority));
            Assert.That(options.RequiredMonitors, Is.EqualTo(1));
            Assert.That(options.LoadingTimeout, Is.EqualTo(TimeSpan.FromSeconds(5)));
            Assert.That(options.MisconfTimeout, Is.EqualTo(TimeSpan.FromSeconds(15)));
            Assert.That(options.StableTime, Is.EqualTo(TimeSpan.FromSeconds(30)));
            Assert.That(options.FailoverInterval, Is.EqualTo(TimeSpan.Zero));
            Assert.That(options.MaxLag, Is.EqualTo(64 << 20));
            Assert.That(options.Lease, Is.EqualTo(TimeSpan.FromMilliseconds(500)));
            Assert.That(options.BusyTimeout, Is.EqualTo(TimeSpan.FromSeconds(15)));
            Assert.That(options.MaxReplicaStaleness, Is.EqualTo(TimeSpan.FromSeconds(10)));
            Assert.That(options.MonitorAbsence, Is.EqualTo(TimeSpan.FromHours(24)));
            Assert.That(options.Policy.RegistrationWait, Is.EqualTo(TimeSpan.FromSeconds(8)));
            Assert.That(options.NeverPromote, Is.Empty);
            Assert.That(options.Http, Is.Null);
            Assert.That(options.Password, Is.Null);
        });
    }

    [TestCase("500", 500)]
    [TestCase("500ms", 500)]
    [TestCase("1.5s", 1500)]
    [TestCase("0.5m", 30_000)]
    public void A_time_is_given_with_its_unit_or_in_milliseconds(string text, int millis)
        => Assert.That(Read([.. Least, "--probe-timeout", text]).ProbeTimeout.TotalMilliseconds, Is.EqualTo(millis));

    [Test]
    public void The_default_of_the_lease_is_no_longer_than_half_of_a_short_session()
        => Assert.That(Read([.. Least, "--session-timeout", "600ms"]).Lease.TotalMilliseconds, Is.EqualTo(300));

    [Test]
    public void What_the_decider_goes_by_is_what_was_set()
    {
        FailoverPolicy policy =
            Read([.. Least, "--loading-timeout", "1", "--misconf-timeout", "2", "--stable-time", "3", "--failover-interval", "4",
            "--max-lag", "5", "--never-promote", "b:2", "--session-timeout", "6000"]).Policy;

        Assert.Multiple(() =>
        {
            Assert.That(policy.LoadingTimeout.TotalMilliseconds, Is.EqualTo(1));
            Assert.That(policy.MisconfTimeout.TotalMilliseconds, Is.EqualTo(2));
            Assert.That(policy.StableTime.TotalMilliseconds, Is.EqualTo(3));
            Assert.That(policy.FailoverInterval.TotalMilliseconds, Is.EqualTo(4));
            Assert.That(policy.MaxLag, Is.EqualTo(5));
            Assert.That(policy.NeverPromote, Is.EqualTo(new[] { new NodeAddress("b", 2) }));
            Assert.That(policy.ViewLifetime.TotalMilliseconds, Is.EqualTo(6000));
        });
    }

    [Test]
    public void The_command_line_wins_over_the_environment_and_that_over_the_file()
    {
        using var file = new TemporaryFile("""
            {
              // comments are allowed
              "nodes": ["x:1", "y:2"], "max_failures": 7, "probeTimeout": 500, "session-timeout": 9000,
            }
            """);
        MonitorOptions options = Read(
            ["--zkservers", "z", "--config", file.Path, "--session-timeout", "7000"],
            ("REDIS_FAILOVER_PROBE_TIMEOUT", "250"), ("REDIS_FAILOVER_SESSION_TIMEOUT", "8000"));

        Assert.Multiple(() =>
        {
            Assert.That(options.Nodes, Has.Length.EqualTo(2));
            Assert.That(options.MaxFailures, Is.EqualTo(7));
            Assert.That(options.ProbeTimeout.TotalMilliseconds, Is.EqualTo(250));
            Assert.That(options.SessionTimeout.TotalMilliseconds, Is.EqualTo(7000));
        });
    }

    [Test]
    public void The_password_may_come_from_a_file_and_is_never_in_the_text_of_the_options()
    {
        using var file = new TemporaryFile("s3cret\n");

        MonitorOptions options = Read([.. Least, "--password-file", file.Path]);

        Assert.Multiple(() =>
        {
            Assert.That(options.Password, Is.EqualTo("s3cret"));
            Assert.That(options.ToString(), Does.Not.Contain("s3cret"));
        });
    }

    [Test]
    public void A_password_on_the_command_line_is_taken_and_told_of()
    {
        MonitorOptions? options = OptionSources.Read([.. Least, "--password", "p"], new Hashtable(), out bool seen);

        Assert.Multiple(() =>
        {
            Assert.That(options!.Password, Is.EqualTo("p"));
            Assert.That(seen);
        });
    }

    [TestCase("--nodes is missing", "--zkservers", "z")]
    [TestCase("--zkservers is missing", "--nodes", "a:1")]
    [TestCase("'a' is not allowed; allowed: host:port", "--nodes", "a", "--zkservers", "z")]
    [TestCase("allowed: each node once", "--nodes", "a:1,A:1", "--zkservers", "z")]
    [TestCase("at least one", "--nodes", ",", "--zkservers", "z")]
    [TestCase("--zkservers (from the command line)", "--nodes", "a:1", "--zkservers", "z:0")]
    [TestCase("--max-failures (from the command line): '0' is not allowed; allowed: a whole number, 1 to 100", "--nodes", "a:1",
        "--zkservers", "z", "--max-failures", "0")]
    [TestCase(
        "--probe-timeout (from the command line): '1d' is not allowed; allowed: 10ms to 60s, as 500ms, 2s, 5m or 24h; a bare number is "
            + "milliseconds",
        "--nodes", "a:1", "--zkservers", "z", "--probe-timeout", "1d")]
    [TestCase("--lease (from the command line): '3s' is not allowed; allowed: at most half of session-timeout (4000 ms)",
        "--nodes", "a:1", "--zkservers", "z", "--lease", "3s")]
    [TestCase("allowed: majority, consensus, single", "--nodes", "a:1", "--zkservers", "z", "--node-strategy", "dictator")]
    [TestCase("allowed: majority, consensus, single", "--nodes", "a:1", "--zkservers", "z", "--node-strategy", "1")]
    [TestCase("'c:3' is not allowed; allowed: nodes of --nodes: a:1,b:2", "--nodes", "a:1,b:2", "--zkservers", "z", "--never-promote",
        "a:1,c:3")]
    [TestCase("--max-lag (from the command line): '-1' is not allowed; allowed: a whole number, 0 to 1099511627776 bytes", "--nodes", "a:1",
        "--zkservers", "z", "--max-lag", "-1")]
    [TestCase("--misconf-timeout (from the command line): '3600001' is not allowed; allowed: 0s to 1h, as 500ms", "--nodes", "a:1",
        "--zkservers", "z", "--misconf-timeout", "3600001")]
    [TestCase("an absolute path", "--nodes", "a:1", "--zkservers", "z", "--znode-path", "redis")]
    [TestCase("http://IP:port", "--nodes", "a:1", "--zkservers", "z", "--http", "9400")]
    [TestCase("http://IP:port", "--nodes", "a:1", "--zkservers", "z", "--http", "http://monitor1:9400")]
    [TestCase("--password-file (from the command line): the file '/nowhere/at/all' cannot be used: ", "--nodes", "a:1", "--zkservers", "z",
        "--password-file", "/nowhere/at/all")]
    [TestCase("a readable file", "--config", "/nowhere/at/all")]
    [TestCase("--frobnicate", "--frobnicate", "1")]
    public void A_wrong_one_is_named_with_what_was_given_and_what_is_allowed(string word, params string[] arguments)
        => Assert.That(() => Read(arguments), Throws.TypeOf<OptionException>().With.Message.Contains(word).And.Message.Not.Contains("\n"));

    [TestCase("--password-file", "", true)]
    [TestCase("--http-token-file", "", true)]
    [TestCase("--zk-auth-file", "", true)]
    [TestCase("--zk-auth-file", "no colon", true)]
    [TestCase("--tls-ca-file", "", true)]
    [TestCase("--zk-tls-ca-file", "no certificate", true)]
    [TestCase("--config", "no JSON", false)]
    public async Task A_file_that_may_be_whole_a_moment_later_is_told_from_a_wrong_setting(string option, string contents, bool isOfFile)
    {
        string file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, contents);
        Assert.That(() => Read([.. Least, option, file]),
            Throws.TypeOf<OptionException>().With.Property(nameof(OptionException.IsOfFile)).EqualTo(isOfFile)
                .And.Message.Contains(option).And.Message.Not.Contains("\n"));
        File.Delete(file);
        Assert.That(() => Read([.. Least, option, file]),
            Throws.TypeOf<OptionException>().With.Property(nameof(OptionException.IsOfFile)).EqualTo(isOfFile));
    }

    [Test]
    public void An_unknown_setting_in_the_environment_is_refused()
        => Assert.That(
            () => Read(Least, ("REDIS_FAILOVER_MAX_FAILURE", "3")),
            Throws.TypeOf<OptionException>()
                .With.Message.StartsWith("REDIS_FAILOVER_MAX_FAILURE in the environment is no setting; allowed: REDIS_FAILOVER_NODES, "));

    [TestCase("REDIS_FAILOVER_SERVICE_HOST", "10.0.0.1")]
    [TestCase("REDIS_FAILOVER_SERVICE_PORT_REDIS", "6379")]
    [TestCase("REDIS_FAILOVER_PORT", "tcp://10.0.0.1:6379")]
    [TestCase("REDIS_FAILOVER_PORT_6379_TCP_ADDR", "10.0.0.1")]
    [TestCase("REDIS_FAILOVER_MONITOR_PORT_9400_TCP_PROTO", "tcp")]
    public void What_Kubernetes_puts_beside_a_Service_of_that_name_is_no_setting_and_not_refused(string variable, string value)
        => Assert.That(() => Read(Least, (variable, value)), Throws.Nothing);

    [Test]
    public void A_misspelt_setting_that_looks_like_one_of_these_is_refused()
        => Assert.That(() => Read(Least, ("REDIS_FAILOVER_HTTP_PORT", "http")), Throws.TypeOf<OptionException>());

    [Test]
    public async Task A_file_of_a_secret_that_is_just_being_replaced_does_not_make_the_clusters_settings_wrong()
    {
        string file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, "secret");
        MonitorOptions options = Read(["--nodes", "a:1", "--zkservers", "z", "--password-file", file]);
        File.Delete(file);

        ClusterConfig config = ClusterConfig.Empty with { Settings = ClusterConfig.Empty.Settings.Add("max-failures", "5") };
        Assert.That(options.Under(config).MaxFailures, Is.EqualTo(5));
    }

    [Test]
    public async Task What_is_of_one_monitor_does_not_make_the_clusters_settings_wrong()
    {
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using var key = System.Security.Cryptography.ECDsa.Create();
        using var certificate = new System.Security.Cryptography.X509Certificates.CertificateRequest(
                "CN=monitor", key, System.Security.Cryptography.HashAlgorithmName.SHA256)
            .CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        string file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, $"{certificate.ExportCertificatePem()}\n{key.ExportPkcs8PrivateKeyPem()}\n");
        MonitorOptions options =
            Read(["--nodes", "a:1", "--zkservers", "z", "--http", "https://127.0.0.1:9400", "--http-cert-file", file]);
        Assert.That(options.HttpTls, Is.Not.Null);
        File.Delete(file);

        ClusterConfig config = ClusterConfig.Empty with { Settings = ClusterConfig.Empty.Settings.Add("max-failures", "5") };
        Assert.That(options.Under(config).MaxFailures, Is.EqualTo(5));
        Assert.That(() => Read(["--nodes", "a:1", "--zkservers", "z", "--http", "https://127.0.0.1:9400"]),
            Throws.TypeOf<OptionException>().With.Message.Contains("only with --http-cert-file"));
    }

    [Test]
    public void What_the_operators_tool_and_the_tests_find_in_the_environment_is_no_setting_and_not_refused()
        => Assert.That(
            Read(Least, ("REDIS_FAILOVER_ZK", "z:1/r"), ("REDIS_FAILOVER_FAULT_POINT", ""), ("REDIS_FAILOVER_PASSWORD", "p"),
                ("REDIS", "x")).Password, Is.EqualTo("p"));

    [TestCase(
        "--write-max-lag (from the command line): '3' is not allowed; allowed: seconds, more than max-failures x probe-timeout (3 x 1000 "
            + "ms) with write-safety replicated",
        "--write-safety", "replicated", "--write-max-lag", "3")]
    [TestCase(
        "--write-max-lag (from the default): '5' is not allowed; allowed: seconds, more than max-failures x probe-timeout (3 x 2000 ms)",
        "--write-safety", "replicated", "--probe-timeout", "2000")]
    public void A_master_must_not_refuse_writes_before_a_replica_that_hangs_is_let_go(string message, params string[] arguments)
        => Assert.That(() => Read([.. Least, .. arguments]), Throws.TypeOf<OptionException>().With.Message.StartsWith(message));

    [TestCase(99, false)]
    [TestCase(2, true)]
    public void More_replicas_than_there_are_can_hold_no_write(int quorum, bool allowed)
        => Assert.That(
            () => Read(["--nodes", "a:1,b:1,c:1", "--zkservers", "z:1", "--write-safety", "replicated", "--write-quorum", $"{quorum}"]),
            allowed ? Throws.Nothing : Throws.TypeOf<OptionException>().With.Message.EqualTo(
                "--write-quorum (from the command line): '99' is not allowed; allowed: 1 to 2 with 3 nodes: so many replicas can hold a "
                    + "write"));

    [TestCase("--write-safety", "replicated", "--write-max-lag", "4")]
    [TestCase("--write-max-lag", "1")]
    public void A_longer_bound_is_taken_and_without_write_safety_any(params string[] arguments)
        => Assert.That(Read([.. Least, .. arguments]), Is.Not.Null);

    [TestCase("{", "a JSON file")]
    [TestCase("[]", "a JSON object")]
    [TestCase("{\"max-failure\":3}", "'max-failure' in")]
    [TestCase("{\"config\":\"other.json\"}", "'config' in")]
    [TestCase("{\"max-failures\":3,\"maxFailures\":4}", "max-failures stands there twice; allowed: once")]
    [TestCase("{\"max-failures\":true}", "allowed: a string, a number or a list")]
    public void So_is_a_wrong_file(string content, string word)
    {
        using var file = new TemporaryFile(content);

        Assert.That(() => Read([.. Least, "--config", file.Path]), Throws.TypeOf<OptionException>().With.Message.Contains(word));
    }

    private static MonitorOptions Read(string[] arguments, params (string Name, string Value)[] environment)
    {
        var variables = new Hashtable();
        foreach ((string name, string value) in environment)
        {
            variables[name] = value;
        }

        return OptionSources.Read(arguments, variables, out _)!;
    }

    private sealed class TemporaryFile : IDisposable
    {
        internal TemporaryFile(string content)
        {
            Path = System.IO.Path.GetTempFileName();
            File.WriteAllText(Path, content);
        }

        internal string Path { get; }

        public void Dispose() => File.Delete(Path);
    }
}
