using System.Reflection;
using System.Runtime.CompilerServices;
using BenchmarkDotNet.Attributes;
using Microsoft.Extensions.Logging.Abstractions;
using RedisFailover.Client;
using StackExchange.Redis;

namespace RedisFailover.Benchmarks.Client;

/// <summary>
/// What each layer of the facade adds to a call, without any network: the node's database is a stub (a DispatchProxy, whose own time the
/// "stub" rows tell: subtract it). "--filter *Layers*".
/// </summary>
[MemoryDiagnoser]
[ShortRunJob]
[InProcess]
public class Layers
{
    private static readonly RedisKey s_key = "key";
    private IDatabase _stub = null!;
    private IDatabase _facade = null!;
    private IDatabase _noCover = null!;
    private Stub _behind = null!;

    [GlobalSetup]
    public void SetUp()
    {
        _stub = DispatchProxy.Create<IDatabase, Stub>();
        _behind = (Stub)(object)_stub;
        _facade = Facade(_stub, new FailoverOptions());
        _noCover = Facade(_stub, new FailoverOptions { ContinueOnThreadPool = false });
    }

    [Benchmark]
    public RedisValue Blocking_stub() => _stub.StringGet(s_key);

    [Benchmark]
    public RedisValue Blocking_facade() => _facade.StringGet(s_key);

    [Benchmark]
    public Task Reply_is_there_stub() => _stub.StringGetAsync(s_key);

    [Benchmark]
    public Task Reply_is_there_facade() => _facade.StringGetAsync(s_key);

    [Benchmark]
    public Task Reply_is_awaited_stub() => Pending(_stub);

    [Benchmark]
    public Task Reply_is_awaited_facade_without_thread_cover() => Pending(_noCover);

    [Benchmark]
    public async Task Reply_is_awaited_facade() => await Pending(_facade).ConfigureAwait(false);

    private Task Pending(IDatabase database)
    {
        _behind.Pending = new TaskCompletionSource<RedisValue>();
        Task call = database.StringGetAsync(s_key);
        _behind.Pending.SetResult(default);
        _behind.Pending = null;
        return call;
    }

    /// <summary>A database whose only node, master of all, is the stub.</summary>
    private static FailoverDatabase Facade(IDatabase stub, FailoverOptions options)
    {
        var nodes = new NodeSet(options, NullLogger.Instance);
        var node = (LiveNode)RuntimeHelpers.GetUninitializedObject(typeof(LiveNode));
        node.IsPreferred = true;
        IDatabase?[] databases = new IDatabase?[17];
        databases[0] = stub;
        Field(typeof(LiveNode), "_databases").SetValue(node, databases);
        Field(typeof(NodeSet), "_current").SetValue(nodes, new Snapshot(new Topology { Epoch = 1 }, node, [], ReadFrom.PreferReplica));
        return new FailoverDatabase(nodes, -1, null);
    }

    private static FieldInfo Field(Type type, string name) => type.GetField(name, BindingFlags.NonPublic | BindingFlags.Instance)!;

    /// <summary>Answers GET at once, or when the benchmark says so.</summary>
    public class Stub : DispatchProxy
    {
        private static readonly Task<RedisValue> s_answered = Task.FromResult<RedisValue>(1);
        private static readonly object s_value = (RedisValue)1;

        public TaskCompletionSource<RedisValue>? Pending { get; set; }

        protected override object? Invoke(MethodInfo? targetMethod, object?[]? args)
            => targetMethod!.ReturnType == typeof(RedisValue) ? s_value : Pending?.Task ?? s_answered;
    }
}
