using System.CommandLine;
using System.Net.Sockets;
using System.Text.RegularExpressions;
using NUnit.Framework;
using RedisFailover.Cli;
using RedisFailover.Cli.Cluster;
using RedisFailover.Cli.Commands;
using RedisFailover.UnitTests.Documents;
using RedisFailover.UnitTests.ZooKeeper;
using RedisFailover.ZooKeeper;

namespace RedisFailover.UnitTests.Cli;

[TestFixture]
public sealed class CommandLineTests
{
    [TestCase("zk:1/redis_failover/clusters/orders", null, "zk:1/redis_failover", "orders")]
    [TestCase("zk:1/redis_failover", "orders", "zk:1/redis_failover", "orders")]
    [TestCase("zk:1/clusters/orders", null, "zk:1", "orders")]
    [TestCase("zk:1/redis_failover", null, null, null)]
    [TestCase("zk:1/my/orders", null, null, null)]
    public void A_cluster_beside_others_is_known_by_its_path_however_it_was_given(string zk, string? cluster, string? root, string? name)
    {
        CommonOptions common = new();
        ParseResult parsed = common.AddTo(new Command("x")).Parse(cluster is null ? ["--zk", zk] : ["--zk", zk, "--cluster", cluster]);
        (ZooKeeperConnectionString Root, string Cluster)? found = common.RootOf(parsed);
        Assert.That((found?.Root.ToString(), found?.Cluster), Is.EqualTo((root, name)));
    }

    [TestCase("status --bogus", "'--bogus'")]
    [TestCase("load --zk h:1 --rate fast", "--rate is 'fast'; allowed: a number from")]
    [TestCase("load --zk h:1 --rate 0", "--rate is '0'; allowed: a number from")]
    [TestCase("status --zk h:1,:", "--zk: ':'")]
    [TestCase("failover --zk 127.0.0.1:1 nowhere", "'nowhere' is not a node address")]
    [TestCase("status --zk h:1/x/", "'/x/' of the ZooKeeper connection string 'h:1/x/' is wrong: it must not end with /.")]
    [TestCase("switchover --zk 127.0.0.1:1 nowhere", "'nowhere' is not a node address")]
    [TestCase("failover --zk h:1 --timeout 2m", "--timeout is '2m'; allowed: a time from 100ms to 60s, such as 500ms, 2s, 1m.")]
    [TestCase("failover --zk h:1 --wait 3h", "--wait is '3h'; allowed: a time from 100ms to 3600s, such as 500ms, 2s, 1m.")]
    [TestCase("status --zk h:1 --timeout 0", "--timeout is '0'; allowed: a time from 100ms")]
    [TestCase("load --zk h:1 --duration -1", "--duration is '-1'; allowed: a time from 100ms")]
    [TestCase("load --zk h:1 --gap 2d", "--gap is '2d'; allowed: a time from 1ms to 60s")]
    [TestCase("bogus", "'bogus' is no command; allowed: status, watch,")]
    [TestCase("bogus --zk h:1", "'bogus' is no command; allowed: status, watch,")]
    [TestCase("", "a command is missing; allowed: status, watch,")]
    [TestCase("nodes", "a command is missing; allowed: list, add,")]
    [TestCase("nodes frobnicate", "'frobnicate' is no command; allowed: list, add,")]
    [TestCase("completion fish", "Argument 'fish' not recognized. Must be one of: 'bash' 'zsh'")]
    [TestCase("pause --zk h:1 --for 1m --for 2m", "--for is given 2 times; allowed: once.")]
    [TestCase("status --zk h:1 --zk h:2", "--zk is given 2 times; allowed: once.")]
    [TestCase("status --zk h:1 --json --json", "--json is given 2 times; allowed: once.")]
    [TestCase("config set --zk h:1 max-failures=1 max-failures=2", "max-failures is given more than once; allowed: once.")]
    [TestCase("config set --zk h:1 nosuch=1",
        "'nosuch' is no setting that can be changed for all monitors; allowed: max-failures, probe-timeout,")]
    [TestCase("config get --zk h:1 nosuch",
        "'nosuch' is no setting that can be changed for all monitors; allowed: max-failures, probe-timeout,")]
    [TestCase("config set --zk h:1 max-failures=400", "max-failures: '400' is not allowed; allowed: a whole number, 1 to 100.")]
    [TestCase("config set --zk h:1 max-failures=2 probe-timeout=nonsense",
        "probe-timeout: 'nonsense' is not allowed; allowed: 10ms to 60s, as 500ms, 2s, 5m or 24h; a bare number is milliseconds.")]
    [TestCase("config set --zk h:1 write-safety=some", "write-safety: 'some' is not allowed; allowed: none, replicated.")]
    [TestCase("nodes tag --zk h:1 a:1 zone=a zone=b", "the tag zone is given more than once; allowed: once.")]
    [TestCase("nodes add --zk h:1 a:1 --tag never-read --tag never-read=false", "the tag never-read is given more than once")]
    [TestCase("nodes add --zk h:1 a:1 A:1", "a:1 is given more than once; allowed: once.")]
    [TestCase("nodes remove --zk h:1 a:1 a:1", "a:1 is given more than once; allowed: once.")]
    [TestCase("clusters add x --zk h:1 --nodes a:1,a:1", "--nodes is 'a:1,a:1'; allowed: host:port, by commas, each once.")]
    [TestCase("load --zk h:1 --timeout 11m", "--timeout is '11m'; allowed: a time from 100ms to 600s")]
    [TestCase("status --zk @/no/such/file", "--zk: the file '/no/such/file' does not exist; allowed: a file that can be read")]
    [TestCase("status --zk @/", "--zk: the file '/' is a directory; allowed: a file that can be read and is not empty.")]
    [TestCase("status --zk @", "--zk: the file '' does not exist; allowed: a file that can be read and is not empty.")]
    [TestCase("status --zk @/dev/null", "--zk: the file '/dev/null' is empty; allowed: a file that can be read and is not empty.")]
    [TestCase("history --since yesterday", "such as 90m, 24h, 7d.")]
    public async Task Wrong_usage_is_told_in_one_line_with_exit_code_2(string arguments, string expected)
    {
        using StringWriter output = new();
        using StringWriter errors = new();
        int exitCode =
            await CommandLine.RunAsync(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries), output, errors, CancellationToken.None);
        Assert.That(exitCode, Is.EqualTo(2));
        Assert.That(errors.ToString(), Does.Contain(expected));
        Assert.That(errors.ToString().TrimEnd('\n').Split('\n'), Has.Length.EqualTo(1));
    }

    [TestCase("500ms", 500)]
    [TestCase("2s", 2000)]
    [TestCase("1.5s", 1500)]
    [TestCase("1m", 60_000)]
    [TestCase("3", 3000)]
    public void Every_time_is_given_in_the_same_forms(string text, double millis)
    {
        foreach (
            string option in (string[])["switchover --wait", "switchover --timeout", "status --timeout", "watch --timeout",
                "load --timeout", "load --duration"])
        {
            string[] words = option.Split(' ');
            ParseResult parsed = CommandLine.Root().Parse([words[0], "--zk", "h:1", words[1], text]);
            Assert.That(parsed.Errors, Is.Empty, option);
            Assert.That(parsed.GetValue<TimeSpan?>(words[1]), Is.EqualTo(TimeSpan.FromMilliseconds(millis)), option);
        }

        // A bare number of this one has always been milliseconds.
        bool bare = text == "3";
        Assert.That(CommandLine.Root().Parse(["load", "--gap", text]).GetValue<TimeSpan?>("--gap"),
            Is.EqualTo(TimeSpan.FromMilliseconds(bare ? 3 : millis)));
    }

    [TestCase("status", "default: 5s")]
    [TestCase("switchover", "default: 10s")]
    [TestCase("load", "default: 100ms")]
    public async Task The_help_tells_the_default_of_a_time_in_a_form_that_is_allowed(string command, string told)
    {
        using StringWriter output = new();
        await CommandLine.RunAsync([command, "--help"], output, TextWriter.Null, CancellationToken.None);
        Assert.That(output.ToString(), Does.Contain(told).And.Not.Contain("00:00"));
    }

    [Test]
    public void A_picture_of_the_screen_is_drawn_over_the_last_one_and_never_scrolls()
    {
        string picture = WatchScreen.Frame(["master a", "a line that is too long"], ["change 1", "change 2", "change 3"], 10, 5);
        Assert.That(picture, Is.EqualTo("\e[Hmaster a\e[K\na line th…\e[K\nchange 2\e[K\nchange 3\e[K\n\e[J"));
        Assert.That(WatchScreen.Frame(["1", "2", "3"], ["change"], 10, 3), Is.EqualTo("\e[H1\e[K\n2\e[K\n\e[J"));
    }

    [Test]
    public async Task A_server_that_is_silent_is_waited_for_and_that_is_said()
    {
        using TcpListener silent = Listener();
        ZooKeeperConnectionString connection = ZooKeeperConnectionString.Parse($"{silent.LocalEndpoint}/x");
        using StringWriter errors = new();
        Assert.That(await ZooKeeperWait.NotSilentAsync(Task.FromResult(1), connection, errors, default), Is.EqualTo(1));
        Assert.That(errors.ToString(), Is.Empty);

        TaskCompletionSource<int> late = new();
        Task<int> waiting = ZooKeeperWait.NotSilentAsync(late.Task, connection, errors, default);
        await Waiting.Until(() => errors.ToString().Length > 0);
        Assert.That(waiting.IsCompleted, Is.False);
        late.SetResult(2);
        Assert.That(await waiting, Is.EqualTo(2));
        Assert.That(errors.ToString(),
            Is.EqualTo($"redis-failover: waiting for ZooKeeper ({silent.LocalEndpoint}: no answer){Environment.NewLine}"));
    }

    [Test]
    public async Task A_port_that_refuses_and_a_name_that_is_unknown_are_told_at_once()
    {
        int free = FreePort();
        CliException refused = await FailsAsync($"127.0.0.1:{free},no-such-host.invalid:2181/x");

        Assert.That(refused.Message,
            Does.StartWith($"ZooKeeper cannot be reached: 127.0.0.1:{free}: connection refused; no-such-host.invalid:2181: "));
        Assert.That(refused.ExitCode, Is.EqualTo(1));
    }

    [Test]
    public async Task A_Redis_that_is_taken_for_ZooKeeper_is_told_as_such()
    {
        using TcpListener redis = Listener();
        using CancellationTokenSource over = new();
        Task answering = Task.Run(async () =>
        {
            while (true)
            {
                using TcpClient client = await redis.AcceptTcpClientAsync(over.Token);
                try
                {
                    await client.GetStream().ReadExactlyAsync(new byte[5], over.Token);
                    await client.GetStream().WriteAsync("-ERR unknown command 'srvr'\r\n"u8.ToArray(), over.Token);
                }
                catch (IOException)
                {
                    // It was given up; the next one is answered.
                }
            }
        });

        Assert.That((await FailsAsync($"{redis.LocalEndpoint}/x")).Message,
            Is.EqualTo($"ZooKeeper cannot be reached: {redis.LocalEndpoint} is not ZooKeeper: it says '-ERR unknown command 'srvr''"));
        await over.CancelAsync();
        await answering.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    [TestCase("Zookeeper version: 3.8", "it answers, but has given no session yet")]
    [TestCase("srvr is not executed because it is not in the whitelist.", "it answers, but has given no session yet")]
    [TestCase("This ZooKeeper instance is not currently serving requests",
        "it is up but does not serve yet: it is starting, or there is no quorum")]
    [TestCase("", "it closes the connection; is that a port with TLS?")]
    public void What_a_ZooKeeper_says_is_waited_with(string answer, string meaning)
        => Assert.That(ZooKeeperDiagnosis.Meaning("h:1", answer, isTls: false), Is.EqualTo(($"h:1: {meaning}", false)));

    [Test]
    public async Task The_connection_string_may_stand_in_a_file()
    {
        string file = Path.GetTempFileName();
        await File.WriteAllTextAsync(file, $"# where ZooKeeper is\n127.0.0.1:{FreePort()}/x\n");
        using StringWriter errors = new();
        Assert.That(await CommandLine.RunAsync(["status", "--zk", "@" + file], TextWriter.Null, errors, CancellationToken.None),
            Is.EqualTo(1));
        Assert.That(errors.ToString(), Does.Contain("connection refused"));
        await File.WriteAllTextAsync(file, "# nothing\n");
        Assert.That(await CommandLine.RunAsync(["status", "--zk", "@" + file], TextWriter.Null, errors, CancellationToken.None),
            Is.EqualTo(2));
        Assert.That(errors.ToString(), Does.Contain($"--zk: {file} holds no connection string"));
        File.Delete(file);
    }

    [Test]
    public void The_exit_codes_stand_in_the_documents_and_in_the_help_as_in_the_table()
    {
        string document = File.ReadAllText(Path.Combine(Document.Root, "docs", "operations.md"));
        using StringWriter help = new();
        Assert.That(CommandLine.Root().Parse("--help").Invoke(new InvocationConfiguration { Output = help }), Is.Zero);
        Assert.Multiple(() =>
        {
            foreach ((int code, string meaning) in ExitCodes.All)
            {
                Assert.That(document, Does.Contain($"| {code} | {meaning} |"));
                Assert.That(Regex.Replace(help.ToString(), "\\s+", " "), Does.Contain($"{code} {meaning}"));
            }
        });
    }

    private static async Task<CliException> FailsAsync(string connection)
    {
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                await ZooKeeperWait.NotSilentAsync(new TaskCompletionSource<int>().Task, ZooKeeperConnectionString.Parse(connection),
                    TextWriter.Null, default).WaitAsync(TimeSpan.FromSeconds(5));
                throw new AssertionException("It did not fail.");
            }
            catch (CliException e)
            {
                return e;
            }
            catch (TimeoutException) when (attempt < 4)
            {
                // A look lasts a second, which a busy machine did not have: once more.
            }
        }
    }

    private static TcpListener Listener()
    {
        TcpListener listener = new(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return listener;
    }

    private static int FreePort()
    {
        using TcpListener listener = Listener();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }

    [Test]
    public async Task The_help_of_failover_shows_its_target_as_optional()
    {
        using StringWriter output = new();
        await CommandLine.RunAsync(["failover", "--help"], output, TextWriter.Null, CancellationToken.None);
        Assert.That(output.ToString(), Does.Contain("[<host:port>]"));
    }

    [Test]
    public async Task Help_goes_to_stdout_with_exit_code_0()
    {
        using StringWriter output = new();
        using StringWriter errors = new();
        int exitCode = await CommandLine.RunAsync(["load", "--help"], output, errors, CancellationToken.None);
        Assert.That(exitCode, Is.Zero);
        Assert.That(output.ToString(), Does.Contain("--rate"));
        Assert.That(errors.ToString(), Is.Empty);
    }
}
