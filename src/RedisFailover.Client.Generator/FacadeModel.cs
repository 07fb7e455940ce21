using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.CodeAnalysis;

namespace RedisFailover.Client.Generator;

/// <summary>As RedisFailover.Client has it.</summary>
internal enum FacadeKind
{
    Calls,
    Queue,
    Server,
}

/// <summary>A class marked [GenerateFacade] and the members that it leaves to the generator.</summary>
internal sealed class FacadeModel : IEquatable<FacadeModel>
{
    private readonly string _fingerprint;

    private FacadeModel(INamedTypeSymbol type, FacadeKind kind, List<FacadeMember> members, List<FacadeMember> calls,
        List<string> unsupported)
    {
        Namespace = type.ContainingNamespace.ToDisplayString();
        Name = type.Name;
        Kind = kind;
        Members = members;
        Calls = calls;
        Unsupported = unsupported;
        _fingerprint = Namespace + "." + Name + kind + string.Join(";", unsupported)
            + string.Join(";", members.Concat(calls).Select(Signature));
    }

    public string Namespace { get; }

    public string Name { get; }

    public FacadeKind Kind { get; }

    /// <summary>The members to emit.</summary>
    public List<FacadeMember> Members { get; }

    /// <summary>Every asynchronous member, also those written by hand: each has a struct that keeps its arguments.</summary>
    public List<FacadeMember> Calls { get; }

    /// <summary>Members that cannot be emitted and that nobody wrote by hand.</summary>
    public List<string> Unsupported { get; }

    public static FacadeModel Of(GeneratorAttributeSyntaxContext context)
    {
        var type = (INamedTypeSymbol)context.TargetSymbol;
        var kind = (FacadeKind)(int)context.Attributes[0].ConstructorArguments[0].Value!;
        var members = new List<FacadeMember>();
        var calls = new List<FacadeMember>();
        var unsupported = new List<string>();
        foreach (
            INamedTypeSymbol contract in type.AllInterfaces.Where(i
                => i.ContainingNamespace.ToDisplayString().StartsWith("StackExchange.Redis", StringComparison.Ordinal)))
        {
            var overloads = new Dictionary<string, int>(StringComparer.Ordinal);
            foreach (ISymbol symbol in contract.GetMembers().Where(m => !m.IsStatic))
            {
                bool byHand = IsWrittenByHand(type, symbol);
                if (symbol is IMethodSymbol { MethodKind: MethodKind.Ordinary } method)
                {
                    overloads[method.Name] = overloads.TryGetValue(method.Name, out int seen) ? seen + 1 : 1;
                    var member = new FacadeMember(method, $"{method.Name}Call{overloads[method.Name]}");
                    if (member.Shape == Shape.Async)
                    {
                        calls.Add(member);
                    }

                    if (!byHand && (HandsOutItsOwn(method) || (kind != FacadeKind.Server && StaysOnOneNodeOtherwise(member))))
                    {
                        unsupported.Add(symbol.ToDisplayString());
                    }
                    else if (!byHand)
                    {
                        members.Add(member);
                    }
                }
                else if (symbol is IPropertySymbol or IEventSymbol && !byHand)
                {
                    unsupported.Add(symbol.ToDisplayString());
                }
            }
        }

        return new FacadeModel(type, kind, members, kind == FacadeKind.Calls ? calls : new List<FacadeMember>(), unsupported);
    }

    public bool Equals(FacadeModel? other) => other is not null && _fingerprint == other._fingerprint;

    public override bool Equals(object? obj) => Equals(obj as FacadeModel);

    public override int GetHashCode() => StringComparer.Ordinal.GetHashCode(_fingerprint);

    // A default implementation in the interface itself is not ours: it would bypass the routing.
    private static bool IsWrittenByHand(INamedTypeSymbol type, ISymbol member)
        => type.FindImplementationForInterfaceMember(member) is { ContainingType.TypeKind: TypeKind.Class };

    // Only what enumerates, and takes flags, is kept on one node from beginning to end.
    private static bool StaysOnOneNodeOtherwise(FacadeMember member)
        => member.Shape == Shape.Direct && !member.IsAsyncSequence && !(member.IsSequence && member.Flags is not null);

    // A transaction of one node, say: what is called on it would pass all of this by.
    private static bool HandsOutItsOwn(IMethodSymbol method)
        => method.ReturnType is INamedTypeSymbol { TypeKind: TypeKind.Interface } type
            && type.ContainingNamespace.ToDisplayString().StartsWith("StackExchange.Redis", StringComparison.Ordinal);

    private static string Signature(FacadeMember member)
        => $"{member.ReturnType} "
            + $"{member.Interface}.{member.Name}({string.Join(",", member.Parameters.Select(p => p.Modifier + p.Type + p.Name))})";
}
